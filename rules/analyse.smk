# From records to one table.


rule aggregate:
    input:
        timings=sorted(expand("artifacts/timings/{timing}.json", timing=ORDER)),
        weights=expand(
            "artifacts/weights/{model}-r{resolution}.json", model=AXES["model"], resolution=AXES["resolution"]
        ),
        accuracy=expand("artifacts/accuracy/{cell}.json", cell=EVALUATED),
        flops="artifacts/flops.json",
        peaks="artifacts/peaks.json",
        hardware="config/hardware.yaml",
        code=code(
            "table/cells",
            "table/request",
            "measure/host",
            "table/choice",
            "table/limiter",
            "statistics",
            "table/stability",
            "measure/telemetry",
            "table/controls",
            "machine/data_sheet",
            "table/intervals",
            "precision",
            "table/rounds",
            "table/description",
            "table/accuracy",
        ),
    output:
        csv=report(
            "artifacts/results.csv",
            caption="../templates/captions/results.rst",
            category="Tables",
            labels={"table": "All cells, every column (CSV)"},
        ),
        parquet="artifacts/results.parquet",
        rounds="artifacts/rounds.csv",
        run=report(
            "artifacts/run.json",
            caption="../templates/captions/run.rst",
            category="The run",
            labels={"file": "Machine, versions, settings, commands (JSON)"},
        ),
    log:
        "logs/aggregate.log",
    localrule: True
    params:
        config=config,
        cells=[str(cell) for cell in CELLS],
    message:
        "Table of all cells"
    script:
        "../scripts/aggregate.py"


rule audit:
    input:
        results="artifacts/results.parquet",
        run="artifacts/run.json",
        code=code("table/audit", "precision"),
    output:
        report(
            "artifacts/audit.json",
            caption="../templates/captions/audit.rst",
            category="The run",
            labels={"file": "Audit of the table (JSON)"},
        ),
    log:
        "logs/audit.log",
    localrule: True
    params:
        reference=config["report"]["reference"],
    message:
        "Arithmetic and physics of the table"
    script:
        "../scripts/audit.py"
