# Measuring: nothing else runs meanwhile; on the CPU a timing takes all cores, on a GPU speedgrid.gpus sees to it.


rule time_cell:
    input:
        unpack(artifact),
        images="artifacts/references/images-r{resolution}.npy",
        logits="artifacts/references/logits-{model}-r{resolution}.npy",
        expected="artifacts/references/expected-{model}-r{resolution}.json",
    output:
        f"artifacts/timings/{grid.Cell.PATTERN}-{{turn}}.json",
    log:
        f"logs/time_cell/{grid.Cell.PATTERN}-{{turn}}.log",
    priority: timing_priority
    threads: TIMING_THREADS
    # As inputs, these files would be looked at once for each of a thousand jobs.
    params:
        *checksums(
            "scripts/time_cell.py",
            *code(
                "measure",
                "timing",
                "memory",
                "telemetry",
                "host",
                "energy",
                "end_to_end",
                "preprocessing",
                "kernels",
                "gpus",
                "parity",
                "statistics",
                "threads",
                "reference",
                "images",
                "precision",
                "backends/session",
            ),
        ),
        cell=grid.Cell.PATTERN,
        device=DEVICE,
        options=timing_options(),
        more=more_options,
        settings=lambda wildcards: backends.settings(wildcards.backend),
        backend=lambda wildcards: BACKEND_CODE[wildcards.backend],
        environment=timing_environment,
    message:
        "Timing {params.cell}, {wildcards.turn}{PROGRESS}"
    shell:
        "warm --record-death scripts.time_cell {params.cell} --turn {wildcards.turn} --device {params.device}"
        " --artifact {input.artifact} --build {input.build} --images {input.images}"
        " --logits {input.logits} --expected {input.expected} --options {params.options:q} {params.more} --output {output} > {log} 2>&1"


rule measure_peaks:
    input:
        code=code("peaks", "energy", "gpus", "precision", "threads"),
        script="scripts/measure_peaks.py",
    output:
        "artifacts/peaks.json",
    log:
        "logs/measure_peaks.log",
    threads: workflow.cores if DEVICE == "cpu" else 1
    params:
        device=DEVICE,
        precisions=AXES["precision"],
        environment=environment.fingerprint(MACHINE),
    message:
        "What this device can do at most: matrix products and copies"
    shell:
        "warm scripts.measure_peaks --device {params.device} --precisions {params.precisions} --output {output}"
        " > {log} 2>&1"
