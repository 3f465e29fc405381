# Plots and the report.


rule draw_plots:
    input:
        results="artifacts/results.parquet",
        code=code("plots"),
    output:
        **{
            name: report(
                f"report/plots/{name}.svg",
                caption=f"../templates/captions/{name}.rst",
                category="Plots",
                labels={"plot": title},
            )
            for name, title in plots.TITLES.items()
        },
        png=expand("report/plots/{name}.png", name=plots.TITLES),
    log:
        "logs/draw_plots.log",
    localrule: True
    params:
        reference=config["report"]["reference"],
        resolution=config["report"]["resolution"],
        batch_size=config["report"]["batch_size"],
    message:
        "Plots"
    script:
        "../scripts/draw_plots.py"


rule render_report:
    input:
        results="artifacts/results.parquet",
        run="artifacts/run.json",
        audit="artifacts/audit.json",
        published="artifacts/published.json",
        plots=expand("report/plots/{name}.png", name=plots.TITLES),
        template="templates/report.md.j2",
        parts="templates/published.md.j2",
        code=code("findings", "report", "published/section", "published/words", "published/beside", "published/layout"),
    output:
        markdown="report/report.md",
        table=report(
            "report/results.html",
            caption="../templates/captions/results.rst",
            category="Tables",
            labels={"table": "All cells", "format": "HTML"},
        ),
    log:
        "logs/render_report.log",
    localrule: True
    message:
        "Report"
    script:
        "../scripts/render_report.py"
