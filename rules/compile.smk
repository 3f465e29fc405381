# What is compiled ahead of time, for each (model, precision, resolution, batch size) on its own.


rule compile_trt:
    input:
        weights=whole_model,
        calibration=calibration_images,
    output:
        engine=COMPILED["torch_tensorrt"],
        build="artifacts/engines/{model}-{precision}-r{resolution}-b{batch_size}.json",
    log:
        "logs/compile_trt/{model}-{precision}-r{resolution}-b{batch_size}.log",
    # Before everything but weights, so that no timing waits for a build.
    priority: 1
    # As many as a reference takes: one that needs two cores would otherwise wait for two to be free at once, which
    # single ones never are while there are engines to build.
    threads: 2
    params:
        *code("compile_trt"),
        cell="{model}-torch_tensorrt-{precision}-r{resolution}-b{batch_size}",
        device=DEVICE,
        stale_when=FINGERPRINTS.get("torch_tensorrt"),
    message:
        "Engine of {wildcards.model} in {wildcards.precision} at {wildcards.resolution} pixels, batch size {wildcards.batch_size}"
    shell:
        "scripts/warm --keep compile_trt --record-death scripts.compile_trt {params.cell} --config artifacts/config.json --model {wildcards.model} --device {params.device}"
        " --weights {input.weights} --calibration {input.calibration} --engine {output.engine} --build {output.build} > {log} 2>&1"


rule compile_tensorrt:
    input:
        onnx=onnx_file,
        description=onnx_description,
    output:
        engine=COMPILED["tensorrt"],
        build="artifacts/tensorrt/{model}-{precision}-r{resolution}-b{batch_size}.json",
    log:
        "logs/compile_tensorrt/{model}-{precision}-r{resolution}-b{batch_size}.log",
    priority: 1
    params:
        *code("compile_tensorrt"),
        cell="{model}-tensorrt-{precision}-r{resolution}-b{batch_size}",
        device=DEVICE,
        stale_when=FINGERPRINTS.get("tensorrt"),
    message:
        "TensorRT engine of {wildcards.model} in {wildcards.precision} at {wildcards.resolution} pixels, batch size {wildcards.batch_size}"
    shell:
        "scripts/warm --keep compile_tensorrt --record-death scripts.compile_tensorrt {params.cell} --config artifacts/config.json --device {params.device}"
        " --onnx {input.onnx} --description {input.description} --engine {output.engine} --build {output.build}"
        " > {log} 2>&1"


rule compile_inductor:
    input:
        weights=whole_model,
    output:
        package=COMPILED["inductor"],
        build=f"artifacts/inductor/{grid.Cell.PATTERN}.json",
    log:
        f"logs/compile_inductor/{grid.Cell.PATTERN}.log",
    priority: 1
    params:
        *code("compile_inductor"),
        cell=grid.Cell.PATTERN,
        device=DEVICE,
        # Of the settings a package depends on its mode alone.
        stale_when=lambda wildcards: [FINGERPRINTS[wildcards.backend], backends.settings(wildcards.backend)["mode"]],
    message:
        "Compiling {params.cell}"
    shell:
        # Not kept: the compiler would find there what it compiled before.
        "scripts/warm --record-death scripts.compile_inductor {params.cell} --config artifacts/config.json --device {params.device}"
        " --weights {input.weights} --package {output.package} --build {output.build} > {log} 2>&1"
