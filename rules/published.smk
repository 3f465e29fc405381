# Tables that others published, held against arithmetic and physics.


rule audit_published:
    input:
        tables=published_tables,
        flops="artifacts/flops.json",
        hardware=own("config/hardware.yaml"),
    output:
        "artifacts/published.json",
    log:
        "logs/audit_published.log",
    localrule: True
    params:
        *code("audit_published"),
        published=digest(config["published"]),
        model=AXES["model"][0],
    message:
        "Arithmetic and physics of published tables"
    shell:
        "scripts/warm scripts.audit_published --config artifacts/config.json --model {params.model} --flops {input.flops}"
        " --output {output} > {log} 2>&1"
