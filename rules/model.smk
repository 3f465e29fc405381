# The model: its weights, its arithmetic, its right answers and its ONNX files.


rule prepare_weights:
    input:
        checkpoint=own_checkpoint,
        code=code("weights", "models", "images"),
    output:
        weights="artifacts/weights/r{resolution}.pth",
        description="artifacts/weights/r{resolution}.json",
    log:
        "logs/prepare_weights/r{resolution}.log",
    params:
        model=MODEL,
        seed=config["model"]["seed"],
    message:
        "Weights of {params.model} for {wildcards.resolution} x {wildcards.resolution}"
    script:
        "../scripts/prepare_weights.py"


rule count_flops:
    input:
        code=code("flops"),
    output:
        "artifacts/flops.json",
    log:
        "logs/count_flops.log",
    params:
        model=MODEL,
        resolutions=AXES["resolution"],
    message:
        "Floating-point operations of one image of {params.model}"
    script:
        "../scripts/count_flops.py"


rule compute_reference:
    input:
        weights="artifacts/weights/r{resolution}.pth",
        code=code("reference", "images"),
    output:
        "artifacts/references/r{resolution}.npz",
    log:
        "logs/compute_reference/r{resolution}.log",
    params:
        model=MODEL,
        seed=config["model"]["seed"],
        images=64,
    message:
        "Right answers in float64 for {wildcards.resolution} x {wildcards.resolution}"
    script:
        "../scripts/compute_reference.py"


rule export_onnx:
    input:
        weights="artifacts/weights/r{resolution}.pth",
        code=code("export", "models"),
    output:
        onnx="artifacts/onnx/{precision}-r{resolution}.onnx",
        description="artifacts/onnx/{precision}-r{resolution}.json",
    log:
        "logs/export_onnx/{precision}-r{resolution}.log",
    params:
        model=MODEL,
        seed=config["model"]["seed"],
        environment=environment.fingerprint("cpu", "onnxruntime"),
    message:
        "ONNX export in {wildcards.precision} at {wildcards.resolution} x {wildcards.resolution}"
    script:
        "../scripts/export_onnx.py"
