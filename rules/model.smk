# The models: weights, arithmetic, right answers and ONNX files; the images that they are given.


rule train_digits:
    output:
        weights="artifacts/weights/digits-{model}.pth",
        description="artifacts/weights/digits-{model}.json",
    log:
        "logs/train_digits/{model}.log",
    # Everything waits for it.
    priority: 3
    threads: 2
    params:
        *code("train_digits"),
        seed=config["model"]["seed"],
        device=DEVICE,
    message:
        "Training of {wildcards.model} on handwritten digits"
    shell:
        "scripts/warm scripts.train_digits --config artifacts/config.json --model {wildcards.model} --seed {params.seed} --device {params.device}"
        " --output {output.weights} --description {output.description} > {log} 2>&1"


rule prepare_weights:
    input:
        checkpoint=own_checkpoint,
        trained=trained_weights,
        training=training,
        source=source_files,
    output:
        weights="artifacts/weights/{model}-r{resolution}.pth",
        description="artifacts/weights/{model}-r{resolution}.json",
    log:
        "logs/prepare_weights/{model}-r{resolution}.log",
    wildcard_constraints:
        model=any_of(MODULES),
    priority: 2
    params:
        *code("prepare_weights"),
        stale_when=source_stale_when,
        seed=config["model"]["seed"],
    message:
        "Weights of {wildcards.model} for {wildcards.resolution} pixels"
    shell:
        "scripts/warm scripts.prepare_weights --config artifacts/config.json --model {wildcards.model} --checkpoint {input.checkpoint:q} --seed {params.seed}"
        " --trained {input.trained} --training {input.training}"
        " --resolution {wildcards.resolution} --output {output.weights} --description {output.description}"
        " > {log} 2>&1"


rule count_flops:
    input:
        onnx=expand(
            "artifacts/onnx/{model}-fp32-r{resolution}.onnx", model=AXES["model"], resolution=AXES["resolution"]
        ),
    output:
        "artifacts/flops.json",
    log:
        "logs/count_flops.log",
    params:
        *code("count_flops"),
        models=AXES["model"],
        resolutions=AXES["resolution"],
    message:
        "Floating-point operations of one image"
    shell:
        "scripts/warm scripts.count_flops --config artifacts/config.json --models {params.models} --resolutions {params.resolutions} --onnx {input.onnx}"
        " --output {output} > {log} 2>&1"


rule prepare_images:
    input:
        images=image_files,
    output:
        images="artifacts/images/{part}-r{resolution}.npy",
        description="artifacts/images/{part}-r{resolution}.json",
    log:
        "logs/prepare_images/{part}-r{resolution}.log",
    priority: 2
    params:
        *code("prepare_images", SOURCE_MODULE),
        source=DATA,
        seed=config["model"]["seed"],
        most=lambda wildcards: IMAGES[wildcards.part],
    message:
        "Images for {wildcards.part} of {wildcards.resolution} pixels"
    shell:
        "scripts/warm scripts.prepare_images --source {params.source:q} --seed {params.seed} --part {wildcards.part}"
        " --resolution {wildcards.resolution} --most {params.most} --output {output.images}"
        " --description {output.description} > {log} 2>&1"


rule classify_images:
    input:
        weights=whole_model,
        description=file_description,
        origin="artifacts/weights/{model}-r{resolution}.json",
        images=given("evaluation"),
        about="artifacts/images/evaluation-r{resolution}.json",
    output:
        "artifacts/references/classes-{model}-r{resolution}.json",
    log:
        "logs/classify_images/{model}-r{resolution}.log",
    priority: 2
    threads: 2
    params:
        *code("classify_images"),
    message:
        "Answers of {wildcards.model} in float32 to the evaluation images"
    shell:
        "scripts/warm scripts.classify_images --config artifacts/config.json --description {input.description} --model {wildcards.model} --weights {input.weights} --origin {input.origin}"
        " --images {input.images} --about {input.about} --output {output} > {log} 2>&1"


rule compute_reference:
    input:
        weights=whole_model,
        description=file_description,
        images=given("reference"),
    output:
        logits="artifacts/references/logits-{model}-r{resolution}.npy",
        expected="artifacts/references/expected-{model}-r{resolution}.json",
    log:
        "logs/compute_reference/{model}-r{resolution}.log",
    # Before the engines, and the largest first: one of these takes as long as many of those.
    priority: lambda wildcards: int(resolution.side_of(wildcards.resolution))
    threads: 2
    params:
        *code("compute_reference"),
        device=DEVICE,
    message:
        "Right answers of {wildcards.model} in float64 for {wildcards.resolution} pixels"
    shell:
        "scripts/warm scripts.compute_reference --config artifacts/config.json --resolution {wildcards.resolution} --description {input.description} --model {wildcards.model} --device {params.device} --weights {input.weights} --images {input.images}"
        " --logits {output.logits} --expected {output.expected} > {log} 2>&1"


rule export_onnx:
    input:
        weights="artifacts/weights/{model}-r{resolution}.pth",
    output:
        onnx="artifacts/onnx/{model}-{precision}-r{resolution}.onnx",
        description="artifacts/onnx/{model}-{precision}-r{resolution}.json",
    log:
        "logs/export_onnx/{model}-{precision}-r{resolution}.log",
    wildcard_constraints:
        model=any_of(MODULES),
        precision="fp32|fp16|bf16",  # as torch has it; int8 is made of fp32
    params:
        *code("export_onnx"),
        stale_when=environment.versions(("torch", "onnx", "onnxscript")),
    message:
        "ONNX export of {wildcards.model} in {wildcards.precision} at {wildcards.resolution} pixels"
    shell:
        "scripts/warm --keep export_onnx --record-death scripts.export_onnx --config artifacts/config.json --model {wildcards.model} --weights {input.weights} --precision {wildcards.precision}"
        " --resolution {wildcards.resolution} --onnx {output.onnx} --description {output.description} > {log} 2>&1"


rule bind_onnx:
    input:
        source=source_files,
    output:
        onnx="artifacts/onnx/{model}-fp32-r{resolution}.onnx",
        description="artifacts/onnx/{model}-fp32-r{resolution}.json",
        origin="artifacts/weights/{model}-r{resolution}.json",
    log:
        "logs/bind_onnx/{model}-r{resolution}.log",
    wildcard_constraints:
        model=any_of(FILES),
    priority: 2
    params:
        *code("bind_onnx"),
        stale_when=lambda wildcards: [environment.versions(("onnx", "onnxruntime-gpu")), *source_stale_when(wildcards)],
    message:
        "{wildcards.model}, an ONNX file, for {wildcards.resolution} pixels"
    shell:
        "scripts/warm --record-death scripts.bind_onnx --config artifacts/config.json --model {wildcards.model}"
        " --resolution {wildcards.resolution} --onnx {output.onnx} --description {output.description}"
        " --origin {output.origin} > {log} 2>&1"


rule convert_onnx:
    input:
        onnx="artifacts/onnx/{model}-fp32-r{resolution}.onnx",
        about="artifacts/onnx/{model}-fp32-r{resolution}.json",
    output:
        onnx="artifacts/onnx/{model}-{precision}-r{resolution}.onnx",
        description="artifacts/onnx/{model}-{precision}-r{resolution}.json",
    log:
        "logs/convert_onnx/{model}-{precision}-r{resolution}.log",
    wildcard_constraints:
        model=any_of(FILES),
        precision="fp16|bf16",
    params:
        *code("convert_onnx"),
        stale_when=environment.versions(("onnx", "onnxruntime-gpu")),
    message:
        "{wildcards.model} in {wildcards.precision} at {wildcards.resolution} pixels"
    shell:
        "scripts/warm --record-death scripts.convert_onnx --precision {wildcards.precision} --onnx {input.onnx}"
        " --about {input.about} --output {output.onnx} --description {output.description} > {log} 2>&1"


rule prepare_inputs:
    input:
        images="artifacts/images/{part}-r{resolution}.npy",
        description=file_description,
        source=source_files,
    output:
        inputs="artifacts/inputs/{part}-{model}-r{resolution}.npy",
        about="artifacts/inputs/{part}-{model}-r{resolution}.json",
    log:
        "logs/prepare_inputs/{part}-{model}-r{resolution}.log",
    priority: 2
    params:
        *code("prepare_inputs"),
        seed=config["model"]["seed"],
        stale_when=source_stale_when,
    message:
        "Inputs of {wildcards.model} for {wildcards.part} of {wildcards.resolution} pixels"
    shell:
        "scripts/warm scripts.prepare_inputs --config artifacts/config.json --model {wildcards.model}"
        " --seed {params.seed} --resolution {wildcards.resolution} --images {input.images}"
        " --description {input.description} --output {output.inputs} --about {output.about} > {log} 2>&1"


rule quantize_onnx:
    input:
        onnx="artifacts/onnx/{model}-fp32-r{resolution}.onnx",
        calibration=given("calibration"),
    output:
        onnx="artifacts/onnx/{model}-int8-r{resolution}.onnx",
        description="artifacts/onnx/{model}-int8-r{resolution}.json",
    log:
        "logs/quantize_onnx/{model}-r{resolution}.log",
    threads: 2
    params:
        *code("quantize_onnx"),
        # Weights have seven bits where the processor would saturate with eight.
        stale_when=[environment.versions(("onnxruntime-gpu", "onnxruntime", "onnx")), MACHINE["cpu"]],
    message:
        "int8 of {wildcards.model} at {wildcards.resolution} pixels"
    shell:
        "scripts/warm --record-death scripts.quantize_onnx --onnx {input.onnx} --calibration {input.calibration} --output {output.onnx}"
        " --description {output.description} > {log} 2>&1"
