# Plots, pages and the report; what it recommends, handed over.


rule draw_plots:
    input:
        results="artifacts/results.parquet",
        rounds="artifacts/rounds.csv",
        run="artifacts/run.json",
        flops="artifacts/flops.json",
        languages=LANGUAGES,
    output:
        **{
            name: report(
                f"report/plots/{{model}}-{name}.svg",
                caption=f"../templates/captions/{name}.rst",
                category="Plots",
                # One set of plots for each model.
                subcategory="{model}" if len(AXES["model"]) > 1 else None,
                labels={"plot": title},
            )
            for name, title in PLOTS.items()
        },
        png=[f"report/plots/{{model}}-{name}.png" for name in PLOTS],
    log:
        "logs/draw_plots/{model}.log",
    localrule: True
    params:
        *code("draw_plots", "report/plots"),
    message:
        "Plots of {wildcards.model}"
    shell:
        "scripts/cold scripts.draw_plots --model {wildcards.model} --results {input.results} --rounds {input.rounds}"
        " --run {input.run} --flops {input.flops} --folder report/plots > {log} 2>&1"


rule render_pages:
    input:
        # After the report, which needs no page: one that cannot be rendered does not stop it. Not as ancient(), because
        # Snakemake passes over a job, whatever else is new to it, where the job of such a file runs.
        report="report/report.md",
        results="artifacts/results.parquet",
        run="artifacts/run.json",
        audit="artifacts/audit.json",
        explorer=own("templates/explorer.html.j2"),
        table=own("templates/results.html.j2"),
        languages=LANGUAGES,
    output:
        explorer=report(
            "report/explorer.html",
            caption="../templates/captions/explorer.rst",
            category="Answer",
            labels={"answer": "Explorer of all cells"},
        ),
        table=report(
            "report/results.html",
            caption="../templates/captions/results_page.rst",
            category="Tables",
            labels={"table": "All cells, to sort and filter"},
        ),
    log:
        "logs/render_pages.log",
    localrule: True
    params:
        *code("render_pages"),
    message:
        "Explorer and table of all cells"
    shell:
        "scripts/cold scripts.render_pages --results {input.results} --run {input.run}"
        " --explorer {input.explorer} {output.explorer} --table {input.table} {output.table} > {log} 2>&1"


rule render_report:
    input:
        results="artifacts/results.parquet",
        run="artifacts/run.json",
        audit="artifacts/audit.json",
        published="artifacts/published.json",
        plots=expand("report/plots/{model}-{name}.png", model=AXES["model"], name=PLOTS),
        template=own("templates/report.md.j2"),
        sections=all_own("templates/sections/*.j2"),
        languages=LANGUAGES,
    output:
        report(
            "report/report.md",
            caption="../templates/captions/report.rst",
            category="Answer",
            labels={"answer": "Report (Markdown)"},
        ),
    log:
        "logs/render_report.log",
    localrule: True
    params:
        *code("render_report", "measure/probes"),
    message:
        "Report"
    shell:
        "scripts/cold scripts.render_report --results {input.results} --run {input.run} --published {input.published}"
        " --template {input.template} --output {output} > {log} 2>&1"


# No part of `rule all`: asked for by `make deploy`, which goes on where one of several cannot be written.
rule hand_over:
    input:
        results="artifacts/results.parquet",
        run="artifacts/run.json",
        # A table that contradicts itself is not handed over.
        audit="artifacts/audit.json",
        programs=all_own("templates/deploy/*/*.py"),
        readme=own("templates/deploy/README.md.j2"),
        languages=LANGUAGES,
    output:
        directory("deploy/{model}"),
    log:
        "logs/hand_over/{model}.log",
    localrule: True
    params:
        *code("hand_over", "measure/probes"),
        objective=DEPLOYED_FOR,
        files=timed_files,
    message:
        "What the report recommends for {params.objective}, ready to run: {output}"
    shell:
        "scripts/cold scripts.hand_over --model {wildcards.model} --objective {params.objective} --results {input.results}"
        " --run {input.run} --files {params.files:q} > {log} 2>&1"


rule deploy:
    input:
        expand("deploy/{model}", model=AXES["model"]),
    localrule: True
