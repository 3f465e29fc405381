# The models: weights, arithmetic, right answers and ONNX files.


rule prepare_weights:
    input:
        checkpoint=own_checkpoint,
        code=code("weights", "models", "images", "threads"),
        script="scripts/prepare_weights.py",
    output:
        weights="artifacts/weights/{model}-r{resolution}.pth",
        description="artifacts/weights/{model}-r{resolution}.json",
    log:
        "logs/prepare_weights/{model}-r{resolution}.log",
    priority: 2
    params:
        seed=config["model"]["seed"],
    message:
        "Weights of {wildcards.model} for {wildcards.resolution} x {wildcards.resolution}"
    shell:
        "warm scripts.prepare_weights --model {wildcards.model} --checkpoint {input.checkpoint} --seed {params.seed}"
        " --resolution {wildcards.resolution} --output {output.weights} --description {output.description}"
        " > {log} 2>&1"


rule count_flops:
    input:
        onnx=expand(
            "artifacts/onnx/{model}-fp32-r{resolution}.onnx", model=AXES["model"], resolution=AXES["resolution"]
        ),
        code=code("flops", "onnx_graph", "models"),
        script="scripts/count_flops.py",
    output:
        "artifacts/flops.json",
    log:
        "logs/count_flops.log",
    params:
        models=AXES["model"],
        resolutions=AXES["resolution"],
    message:
        "Floating-point operations of one image"
    shell:
        "warm scripts.count_flops --models {params.models} --resolutions {params.resolutions} --onnx {input.onnx}"
        " --output {output} > {log} 2>&1"


rule make_images:
    input:
        code=code("images"),
        script="scripts/make_images.py",
    output:
        "artifacts/references/images-r{resolution}.npy",
    log:
        "logs/make_images/r{resolution}.log",
    priority: 2
    params:
        seed=config["model"]["seed"],
        images=64,
    message:
        "Images of {wildcards.resolution} x {wildcards.resolution}"
    shell:
        "warm scripts.make_images --seed {params.seed} --resolution {wildcards.resolution} --count {params.images}"
        " --output {output} > {log} 2>&1"


rule compute_reference:
    input:
        weights="artifacts/weights/{model}-r{resolution}.pth",
        images="artifacts/references/images-r{resolution}.npy",
        code=code("reference", "rounding", "parity", "precision", "models", "threads"),
        script="scripts/compute_reference.py",
    output:
        logits="artifacts/references/logits-{model}-r{resolution}.npy",
        expected="artifacts/references/expected-{model}-r{resolution}.json",
    log:
        "logs/compute_reference/{model}-r{resolution}.log",
    # Before the engines, and the largest first: one of these takes as long as many of those.
    priority: lambda wildcards: int(wildcards.resolution)
    threads: 2
    message:
        "Right answers of {wildcards.model} in float64 for {wildcards.resolution} x {wildcards.resolution}"
    shell:
        "warm scripts.compute_reference --model {wildcards.model} --weights {input.weights} --images {input.images}"
        " --logits {output.logits} --expected {output.expected} > {log} 2>&1"


rule export_onnx:
    input:
        weights="artifacts/weights/{model}-r{resolution}.pth",
        code=code("export", "models", "parity", "precision", "threads"),
        script="scripts/export_onnx.py",
    output:
        onnx="artifacts/onnx/{model}-{precision}-r{resolution}.onnx",
        description="artifacts/onnx/{model}-{precision}-r{resolution}.json",
    log:
        "logs/export_onnx/{model}-{precision}-r{resolution}.log",
    wildcard_constraints:
        precision="fp32|fp16|bf16",  # as torch has it; int8 is made of fp32
    params:
        environment=environment.versions(("torch", "onnx", "onnxscript")),
    message:
        "ONNX export of {wildcards.model} in {wildcards.precision} at {wildcards.resolution} x {wildcards.resolution}"
    shell:
        "warm --keep export_onnx scripts.export_onnx --model {wildcards.model} --weights {input.weights} --precision {wildcards.precision}"
        " --resolution {wildcards.resolution} --onnx {output.onnx} --description {output.description} > {log} 2>&1"


rule prepare_images:
    input:
        code=code("images"),
        script="scripts/prepare_images.py",
    output:
        "artifacts/images/calibration-r{resolution}.npy",
    log:
        "logs/prepare_images/r{resolution}.log",
    params:
        seed=config["model"]["seed"],
        images=128,
    message:
        "Calibration images of {wildcards.resolution} x {wildcards.resolution}"
    shell:
        "warm scripts.prepare_images --seed {params.seed} --resolution {wildcards.resolution} --count {params.images}"
        " --output {output} > {log} 2>&1"


rule quantize_onnx:
    input:
        onnx="artifacts/onnx/{model}-fp32-r{resolution}.onnx",
        calibration="artifacts/images/calibration-r{resolution}.npy",
        code=code("quantize"),
        script="scripts/quantize_onnx.py",
    output:
        onnx="artifacts/onnx/{model}-int8-r{resolution}.onnx",
        description="artifacts/onnx/{model}-int8-r{resolution}.json",
    log:
        "logs/quantize_onnx/{model}-r{resolution}.log",
    threads: 2
    params:
        environment=environment.versions(("onnxruntime-gpu", "onnxruntime", "onnx")),
    message:
        "int8 of {wildcards.model} at {wildcards.resolution} x {wildcards.resolution}"
    shell:
        "warm scripts.quantize_onnx --onnx {input.onnx} --calibration {input.calibration} --output {output.onnx}"
        " --description {output.description} > {log} 2>&1"
