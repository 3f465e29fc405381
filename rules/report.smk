# Plots and the report.


rule draw_plots:
    input:
        results="artifacts/results.parquet",
        rounds="artifacts/rounds.csv",
        run="artifacts/run.json",
        flops="artifacts/flops.json",
        languages=LANGUAGES,
        code=code("language", "rounds") + package("plots"),
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
    message:
        "Plots"
    script:
        "../scripts/draw_plots.py"


rule render_report:
    input:
        results="artifacts/results.parquet",
        run="artifacts/run.json",
        audit="artifacts/audit.json",
        plots=expand("report/plots/{name}.png", name=plots.TITLES),
        template="templates/report.md.j2",
        sections=sorted(str(path) for path in Path("templates/sections").glob("*.j2")),
        languages=LANGUAGES,
        code=code("report", "language", "statistics") + package("findings"),
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
