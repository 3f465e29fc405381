# Tables that others published, held against arithmetic and physics.


rule audit_published:
    input:
        tables=source.files(config["published"], "artifacts/published.json"),
        flops="artifacts/flops.json",
        hardware=own("config/hardware.yaml"),
    output:
        "artifacts/published.json",
    log:
        "logs/audit_published.log",
    localrule: True
    params:
        *code("audit_published"),
        published=json.dumps(config["published"]),
        model=AXES["model"][0],
    message:
        "Arithmetic and physics of published tables"
    shell:
        "scripts/warm scripts.audit_published {params.published:q} --model {params.model} --flops {input.flops}"
        " --output {output} > {log} 2>&1"
