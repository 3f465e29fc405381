# Which backend, precision, resolution and batch size to deploy: export, compile, time, aggregate, report.
from snakemake.utils import min_version

min_version("9.19")


configfile: "config/config.yaml"


report: "templates/captions/workflow.rst"


container: "docker://speedgrid"


include: "rules/common.smk"
include: "rules/model.smk"
include: "rules/compile.smk"
include: "rules/measure.smk"
include: "rules/analyse.smk"
include: "rules/published.smk"
include: "rules/report.smk"


onstart:
    gc.enable()
    server.start(["torch", "speedgrid.models", "speedgrid.measure", *PRELOAD])
    PROGRESS.start(sum(job.rule.name == "time_cell" for job in workflow.dag.needrun_jobs()))


rule all:
    default_target: True
    input:
        "report/report.md",
