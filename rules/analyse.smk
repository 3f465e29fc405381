# From records to one table.


rule aggregate:
    input:
        timings=timings,
        weights=expand(
            "artifacts/weights/{model}-r{resolution}.json", model=AXES["model"], resolution=AXES["resolution"]
        ),
        accuracy=expand("artifacts/accuracy/{cell}.json", cell=EVALUATED),
        flops="artifacts/flops.json",
        peaks="artifacts/peaks.json",
        decoding=DECODING,
        streams=streams,
        hardware=own("config/hardware.yaml"),
    output:
        csv=report(
            "artifacts/results.csv",
            caption="../templates/captions/results.rst",
            category="Tables",
            labels={"table": "All cells, every column (CSV)"},
        ),
        parquet="artifacts/results.parquet",
        rounds="artifacts/rounds.csv",
        summary="artifacts/summary.json",
    log:
        "logs/aggregate.log",
    localrule: True
    params:
        *code("aggregate", "measure/probes"),
        axes=json.dumps(AXES),
        rounds=ROUNDS,
        certain=CERTAIN,
        reference=json.dumps(config["report"]["reference"]),
        max_top1_loss=config["accuracy"]["max_top1_loss"],
        # Inputs that a checkpoint has yet to say make nothing stale.
        serves=digest(config["serving"]["for"]),
    message:
        "Table of all cells"
    shell:
        # Not the names of the records: a thousand of them are too long for a command.
        "scripts/cold scripts.aggregate --axes {params.axes:q} --rounds {params.rounds} --certain {params.certain} --weights {input.weights}"
        " --accuracy {input.accuracy} --flops {input.flops} --peaks {input.peaks} --decoding {input.decoding} --streams {input.streams} --reference {params.reference:q}"
        " --max-top1-loss {params.max_top1_loss} --csv {output.csv} --parquet {output.parquet}"
        " --rounds-csv {output.rounds} --summary {output.summary} > {log} 2>&1"


# Apart from the table, so that a language, a demand or a published table makes none of it again.
rule describe_run:
    input:
        summary="artifacts/summary.json",
    output:
        report(
            "artifacts/run.json",
            caption="../templates/captions/run.rst",
            category="The run",
            labels={"file": "Machine, versions, settings, commands (JSON)"},
        ),
    log:
        "logs/describe_run.log",
    localrule: True
    params:
        *code("describe_run"),
        config=digest(config),
    message:
        "Description of the run"
    shell:
        "scripts/cold scripts.describe_run --summary {input.summary} --config artifacts/config.json --output {output}"
        " > {log} 2>&1"


rule audit:
    input:
        results="artifacts/results.parquet",
        summary="artifacts/summary.json",
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
        *code("audit", "measure/probes"),
        reference=json.dumps(config["report"]["reference"]),
    message:
        "Arithmetic and physics of the table"
    shell:
        "scripts/cold scripts.audit --results {input.results} --summary {input.summary}"
        " --reference {params.reference:q} --output {output} > {log} 2>&1"
