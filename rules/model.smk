# The model: its weights, its arithmetic, its right answers and its ONNX files.


rule prepare_weights:
    input:
        checkpoint=own_checkpoint,
        code=code("weights", "models", "images", "threads"),
        script="scripts/prepare_weights.py",
    output:
        weights="artifacts/weights/r{resolution}.pth",
        description="artifacts/weights/r{resolution}.json",
    log:
        "logs/prepare_weights/r{resolution}.log",
    priority: 2
    params:
        model=MODEL,
        seed=config["model"]["seed"],
    message:
        "Weights of {params.model} for {wildcards.resolution} x {wildcards.resolution}"
    shell:
        "warm scripts.prepare_weights --model {params.model} --checkpoint {input.checkpoint} --seed {params.seed}"
        " --resolution {wildcards.resolution} --output {output.weights} --description {output.description}"
        " > {log} 2>&1"


rule count_flops:
    input:
        onnx=expand("artifacts/onnx/fp32-r{resolution}.onnx", resolution=AXES["resolution"]),
        code=code("flops", "onnx_graph", "models"),
        script="scripts/count_flops.py",
    output:
        "artifacts/flops.json",
    log:
        "logs/count_flops.log",
    params:
        model=MODEL,
        resolutions=AXES["resolution"],
    message:
        "Floating-point operations of one image of {params.model}"
    shell:
        "warm scripts.count_flops --model {params.model} --resolutions {params.resolutions} --onnx {input.onnx}"
        " --output {output} > {log} 2>&1"


rule compute_reference:
    input:
        weights="artifacts/weights/r{resolution}.pth",
        code=code("reference", "images", "rounding", "parity", "models", "threads"),
        script="scripts/compute_reference.py",
    output:
        images="artifacts/references/images-r{resolution}.npy",
        logits="artifacts/references/logits-r{resolution}.npy",
        expected="artifacts/references/expected-r{resolution}.json",
    log:
        "logs/compute_reference/r{resolution}.log",
    # Before the engines: one of these takes as long as many of those.
    priority: 2
    threads: 2
    params:
        model=MODEL,
        seed=config["model"]["seed"],
        images=64,
    message:
        "Right answers in float64 for {wildcards.resolution} x {wildcards.resolution}"
    shell:
        "warm scripts.compute_reference --model {params.model} --weights {input.weights} --seed {params.seed}"
        " --resolution {wildcards.resolution} --count {params.images} --images {output.images}"
        " --logits {output.logits} --expected {output.expected} > {log} 2>&1"


rule export_onnx:
    input:
        weights="artifacts/weights/r{resolution}.pth",
        code=code("export", "models", "parity", "precision", "threads"),
        script="scripts/export_onnx.py",
    output:
        onnx="artifacts/onnx/{precision}-r{resolution}.onnx",
        description="artifacts/onnx/{precision}-r{resolution}.json",
    log:
        "logs/export_onnx/{precision}-r{resolution}.log",
    params:
        model=MODEL,
        environment=environment.versions(("torch", "onnx", "onnxscript")),
    message:
        "ONNX export in {wildcards.precision} at {wildcards.resolution} x {wildcards.resolution}"
    shell:
        "warm --keep export_onnx scripts.export_onnx --model {params.model} --weights {input.weights} --precision {wildcards.precision}"
        " --resolution {wildcards.resolution} --onnx {output.onnx} --description {output.description} > {log} 2>&1"
