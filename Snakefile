# Which backend, precision, resolution and batch size to deploy: export, compile, time, aggregate, report.
from snakemake.utils import min_version

from speedgrid.launcher import folder
from speedgrid.settings import require_readable

min_version("9.19")
folder.require(workflow.deployment_settings.deployment_method)
require_readable("config/config.yaml")


configfile: "config/config.yaml"


report: "templates/captions/workflow.rst"


container: lambda wildcards: folder.image()


include: "rules/common.smk"
include: "rules/stale.smk"
include: "rules/model.smk"
include: "rules/compile.smk"
include: "rules/rounds.smk"
include: "rules/measure.smk"
include: "rules/analyse.smk"
include: "rules/published.smk"
include: "rules/report.smk"


onstart:
    begin_run()


rule all:
    default_target: True
    input:
        promised,
        timings,
