# Measuring: nothing else works meanwhile; speedgrid.machine.turns sees to it on the CPU, speedgrid.machine.gpus on a GPU.


rule time_cell:
    input:
        unpack(artifact),
        images=given("reference"),
        logits="artifacts/references/logits-{model}-r{resolution}.npy",
        expected="artifacts/references/expected-{model}-r{resolution}.json",
    output:
        f"artifacts/timings/{grid.Cell.PATTERN}-{{turn}}.json",
    log:
        f"logs/time_cell/{grid.Cell.PATTERN}-{{turn}}.log",
    priority: timing_priority
    threads: TIMING_THREADS
    resources:
        loaded=1,
    params:
        *code("time_cell"),
        cell=grid.Cell.PATTERN,
        device=DEVICE,
        options=timing_options(),
        probes=asked_probes,
        stale_when=timing_stale_when,
    message:
        "Timing {params.cell}, {wildcards.turn}{PROGRESS}{IN_THE_WAY}"
    shell:
        "scripts/warm --record-death scripts.time_cell {params.cell} --config artifacts/config.json --turn {wildcards.turn} --device {params.device}"
        " --artifact {input.artifact} --build {input.build} --images {input.images}"
        " --logits {input.logits} --expected {input.expected} --options {params.options:q} --probes {params.probes} --output {output} > {log} 2>&1"


rule measure_accuracy:
    input:
        # The very artifact that is timed.
        unpack(artifact),
        images=given("evaluation"),
        answers="artifacts/references/classes-{model}-r{resolution}.json",
    output:
        f"artifacts/accuracy/{grid.Cell.PATTERN}.json",
    log:
        f"logs/measure_accuracy/{grid.Cell.PATTERN}.log",
    threads: ALL_THREADS
    resources:
        loaded=1,
    params:
        *code("measure_accuracy"),
        cell=grid.Cell.PATTERN,
        device=DEVICE,
        options=json.dumps({"cpu_threads": config["timing"]["cpu_threads"]}),
        stale_when=accuracy_stale_when,
    message:
        "Accuracy of {params.cell}"
    shell:
        "scripts/warm --record-death scripts.measure_accuracy {params.cell} --config artifacts/config.json --device {params.device}"
        " --artifact {input.artifact} --build {input.build} --images {input.images} --answers {input.answers}"
        " --options {params.options:q} --output {output} > {log} 2>&1"


rule measure_peaks:
    output:
        "artifacts/peaks.json",
    log:
        "logs/measure_peaks.log",
    threads: workflow.cores if DEVICE == "cpu" else 1
    params:
        *code("measure_peaks"),
        device=DEVICE,
        precisions=AXES["precision"],
        stale_when=fingerprint(MACHINE),
    message:
        "What this device can do at most: matrix products and copies"
    shell:
        "scripts/warm scripts.measure_peaks --device {params.device} --precisions {params.precisions} --output {output}"
        " > {log} 2>&1"


# A clip for whoever has no video; without PyAV it is empty, and what measures it says so.
rule encode_video:
    output:
        CLIP,
    log:
        "logs/encode_video.log",
    priority: 2
    params:
        *code("encode_video"),
        stale_when=environment.versions(("av", "scikit-learn")),
    message:
        "A clip of photographs"
    shell:
        "scripts/cold scripts.encode_video --output {output} > {log} 2>&1"


rule measure_decoding:
    input:
        video=video_file,
    output:
        "artifacts/decoding.json",
    log:
        "logs/measure_decoding.log",
    threads: workflow.cores if DEVICE == "cpu" else 1
    params:
        *code("measure_decoding"),
        resolutions=AXES["resolution"],
        stale_when=[environment.versions(("av", "torch", "torchvision")), MACHINE["cpu"]],
    message:
        "What decoding video costs"
    shell:
        "scripts/cold scripts.measure_decoding --config artifacts/config.json --video {input.video:q}"
        " --resolutions {params.resolutions} --output {output} > {log} 2>&1"


# Which settings serve camera streams is known once all cells are timed. A checkpoint: what it writes says which jobs follow.
checkpoint choose_places:
    input:
        timings=timings,
        weights=expand(
            "artifacts/weights/{model}-r{resolution}.json", model=AXES["model"], resolution=AXES["resolution"]
        ),
        accuracy=expand("artifacts/accuracy/{cell}.json", cell=EVALUATED),
        flops="artifacts/flops.json",
        peaks="artifacts/peaks.json",
        hardware=own("config/hardware.yaml"),
    output:
        PLACES,
    log:
        "logs/choose_places.log",
    localrule: True
    params:
        *code("choose_places", "measure/probes"),
        axes=json.dumps(AXES),
        demands=digest(DEMANDS),
    message:
        "Which settings serve streams"
    shell:
        "scripts/cold scripts.choose_places --config artifacts/config.json --timings artifacts/timings --weights {input.weights}"
        " --accuracy {input.accuracy} --flops {input.flops} --peaks {input.peaks} --output {output} > {log} 2>&1"


rule measure_streams:
    input:
        artifacts=place_files("artifact"),
        builds=place_files("build"),
        images=given("reference"),
    output:
        f"artifacts/serving/{places.PATTERN}.json",
    log:
        f"logs/measure_streams/{places.PATTERN}.log",
    threads: ALL_THREADS
    resources:
        loaded=1,
    params:
        *code("measure_streams"),
        asked=asked_streams,
        stale_when=streams_stale_when,
    message:
        "Streams under load of {wildcards.model}, {wildcards.backend} {wildcards.precision}, {wildcards.resolution} pixels: some minutes"
    shell:
        "scripts/cold scripts.measure_streams --config artifacts/config.json --asked {params.asked:q}"
        " --artifacts {input.artifacts} --builds {input.builds} --images {input.images} --output {output} > {log} 2>&1"


# Asked for on a cluster alone, where the machine that plans is not the one that measures (speedgrid.cluster.elsewhere).
rule describe_machine:
    output:
        elsewhere.DESCRIPTION,
    log:
        "logs/describe_machine.log",
    params:
        *code("describe_machine"),
        device=DEVICE,
    message:
        "Description of the machine that measures"
    shell:
        "scripts/cold scripts.describe_machine --device {params.device} --output {output} > {log} 2>&1"
