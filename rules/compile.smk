# Engines that are compiled ahead of time, one for each (model, precision, resolution, batch size).


rule compile_trt:
    input:
        weights="artifacts/weights/{model}-r{resolution}.pth",
        calibration=calibration_images,
        code=code("engine", "calibrated", "models", "precision"),
        script="scripts/compile_trt.py",
    output:
        engine="artifacts/engines/{model}-{precision}-r{resolution}-b{batch_size}.ts",
        build="artifacts/engines/{model}-{precision}-r{resolution}-b{batch_size}.json",
    log:
        "logs/compile_trt/{model}-{precision}-r{resolution}-b{batch_size}.log",
    # Before everything but weights, so that no timing waits for a build.
    priority: 1
    # As many as a reference takes: one that needs two cores would otherwise wait for two to be free at once, which
    # single ones never are while there are engines to build.
    threads: 2
    params:
        cell="{model}-torch_tensorrt-{precision}-r{resolution}-b{batch_size}",
        device=DEVICE,
        environment=FINGERPRINTS.get("torch_tensorrt"),
    message:
        "Engine of {wildcards.model} in {wildcards.precision} at {wildcards.resolution} x {wildcards.resolution}, batch size {wildcards.batch_size}"
    shell:
        "warm --keep compile_trt scripts.compile_trt {params.cell} --model {wildcards.model} --device {params.device}"
        " --weights {input.weights} --calibration {input.calibration} --engine {output.engine} --build {output.build} > {log} 2>&1"
