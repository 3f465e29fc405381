"""What names of CUDA kernels say about the arithmetic."""

from dataclasses import replace

import pytest
from builders import make_record, make_table

from speedgrid.grid import Cell
from speedgrid.measure.probes import kernels
from speedgrid.measure.probes.kernels import evidence

NAMES = {
    # Names in libcudnn_engines_precompiled (cuDNN 9.24): XMMA convolutions for Ampere and Hopper.
    "sm80_xmma_fprop_implicit_gemm_tf32f32_tf32f32_f32_nhwckrsc_nhwc_tilesize128x128x16_stage4_warpsize2x2x1_g1_"
    "tensor16x8x8_execute_kernel__5x_cudnn": "tf32",
    "sm80_xmma_fprop_implicit_gemm_tf32f32_tf32f32_f32_nhwckrsc_nchw_tilesize128x128x16_stage4_warpsize2x2x1_g1_"
    "tensor16x8x8_alignc4_execute_kernel__5x_cudnn": "tf32",
    "sm80_xmma_fprop_implicit_gemm_indexed_wo_smem_tf32f32_tf32f32_f32_nhwckrsc_nhwc_tilesize128x16x32_stage1_"
    "warpsize4x1x1_g1_tensor16x8x8_aligna4_alignc4_execute_kernel__5x_cudnn": "tf32",
    "sm90_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckrsc_nhwc_tilesize128x128x32_warpgroupsize1x1x1_g1_"
    "execute_segment_k_off_kernel__5x_cudnn": "tf32",
    "sm80_xmma_fprop_implicit_gemm_f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize128x128x32_stage4_warpsize2x2x1_g1_"
    "tensor16x8x16_execute_kernel__5x_cudnn": "fp16",
    "sm90_xmma_fprop_implicit_gemm_f16f16_f16f32_f32_nhwckrsc_nhwc_tilesize128x128x32_warpgroupsize1x1x1_g1_"
    "execute_segment_k_off_kernel__5x_cudnn": "fp16",
    "sm80_xmma_fprop_implicit_gemm_indexed_bf16bf16_bf16f32_f32_nhwckrsc_nhwc_tilesize128x128x32_stage4_"
    "warpsize2x2x1_g1_tensor16x8x16_execute_kernel__5x_cudnn": "bf16",
    "sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc_tilesize128x128x32_warpgroupsize1x1x1_g1_"
    "execute_segment_k_off_kernel__5x_cudnn": "bf16",
    "sm80_xmma_fprop_implicit_gemm_f32f32_f32f32_f32_nchwkcrs_nchw_tilesize256x64x8_stage3_warpsize2x2x1_g1_ffma_"
    "aligna4_alignc4_execute_kernel__5x_cudnn": "fp32",
    # The same library: CUTLASS convolutions, as profiles of PyTorch on Ampere and later show them.
    "void cutlass__5x_cudnn::Kernel<cutlass_tensorop_s1688fprop_optimized_tf32_128x64_16x6_nhwc_align4>"
    "(T1::Params)": "tf32",
    "_ZN17cutlass__5x_cudnn6KernelI64cutlass_tensorop_s1688fprop_analytic_tf32_64x64_32x5_nhwc_align4EEvNT_6ParamsE": (
        "tf32"
    ),
    "cutlass_tensorop_f16_s16816fprop_optimized_f16_128x128_32x3_nhwc_align8": "fp16",
    "cutlass_tensorop_h16816fprop_optimized_128x64_32x6_nhwc_align8": "fp16",
    "void cutlass__5x_cudnn::Kernel<cutlass_tensorop_bf16_s16816fprop_optimized_bf16_64x64_32x10_nhwc_align8>"
    "(T1::Params)": "bf16",
    # The same library: convolutions without tensor cores.
    "ampere_scudnn_winograd_128x128_ldg1_ldg4_relu_tile148t_nt_v1": "fp32",
    "_5x_cudnn_ampere_scudnn_128x32_relu_interior_nn_v1": "fp32",
    "cudnn_infer_ampere_scudnn_128x64_relu_xregs_large_nn_v1": "fp32",
    "ampere_hcudnn_128x128_relu_interior_nn_v1": "fp16",
    "void implicit_convolve_sgemm<float, float, 1024, 5, 5, 3, 3, 3, 1, false, true, true>(int, int, int, float "
    "const*, int, float*, float const*, kernel_conv_params, unsigned long long, int, float, float, int)": "fp32",
    "void cudnn::cnn::conv2d_grouped_direct_kernel<false, true, false, false, false, false, 0, 0, int, float, float, "
    "float, float, float, float>(cudnn::cnn::GroupedDirectFpropParams, float const*, float const*, float*)": "fp32",
    # Names in libcublasLt (cuBLAS 13.1).
    "void cutlass::Kernel2<cutlass_80_tensorop_s1688gemm_128x64_16x6_tn_align4>"
    "(cutlass_80_tensorop_s1688gemm_128x64_16x6_tn_align4::Params)": "tf32",
    "sm80_xmma_gemm_f32f32_tf32f32_f32_nt_n_tilesize128x256x32_stage3_warpsize2x4x1_tensor16x8x8_aligna4_alignc4": (
        "tf32"
    ),
    "sm80_xmma_gemm_f32f32_f32f32_f32_tn_n_tilesize128x64x8_stage3_warpsize2x2x1_ffma": "fp32",
    "void cutlass::Kernel2<cutlass_80_simt_sgemm_256x128_8x4_nn_align1>"
    "(cutlass_80_simt_sgemm_256x128_8x4_nn_align1::Params)": "fp32",
    "ampere_sgemm_128x64_tn": "fp32",
    "volta_sgemm_128x32_sliced1x4_nt": "fp32",
    "ampere_fp16_s16816gemm_fp16_64x64_sliced1x2_ldg8_relu_f2f_stages_64x6_tn": "fp16",
    "ampere_s16816gemm_fp16_128x128_ldg8_stages_32x5_nt": "fp16",
    "turing_fp16_s1688gemm_fp16_128x128_ldg8_f2f_tn": "fp16",
    "_ZN7cutlass7Kernel2I53cutlass_80_tensorop_h16816gemm_128x128_32x4_tn_align2EEvNT_6ParamsE": "fp16",
    "_ZN7cutlass7Kernel2I65cutlass_80_wmma_tensorop_f16_s161616gemm_f16_16x16_64x1_tt_align2EEvNT_6ParamsE": "fp16",
    "ampere_bf16_s1688gemm_bf16_128x128_ldg8_f2f_stages_32x1_nn": "bf16",
    "void cutlass::Kernel2<cutlass_80_tensorop_s16816gemm_bf16_128x64_32x6_tn_align8>(T1::Params)": "bf16",
    "sm90_xmma_gemm_f16f32_f16f32_f32_nn_n_tilesize64x128x64_cgasize1x1x1_warpgroupsize1x1x1_aligna4_alignc4_"
    "execute_split_k_kernel__5x_cublas": "fp16",
    "volta_fp16_s884gemm_fp16_256x128_ldg8_f2f_nn": "fp16",
    # cuBLAS 12 and 13 on Hopper, in published profiles.
    "nvjet_hsh_256x128_64x4_1x2_h_bz_coopA_NNT": "fp16",
    "nvjet_sm90_hss_64x8_64x16_1x1_h_bz_splitK_NNT": "fp16",
    "nvjet_sm90_tst_192x8_64x8_2x1_v_bz_TNT": "bf16",
    "nvjet_tss_256x128_64x4_1x2_h_bz_coopA_TNT": "bf16",
    "nvjet_sss_tf32_128x256_TNT": "tf32",
    # CUTLASS 3: published (Hopper), and in cuBLAS and TensorRT-RTX 1.6 (Blackwell).
    "cutlass3x_sm90_tensorop_s64x128x16gemm_bf16_bf16_f32_void_bf16_128x128x64_1x1x1_0_tnn_align8_"
    "warpspecialized_pingpong_epi_tma": "bf16",
    "cutlass3x_sm90_tensorop_gemm_bf16_bf16_f32_bf16_bf16_128x256x64_1x1x1_0_tnn_align8_warpspecialized_cooperative_"
    "epi_tma": "bf16",
    "cutlass3x_sm100_tensorop_s128x128x8tf32implicit_gemm_fprop_f32_f32_f32_f32_f32_f32_128x128x32_dyn_cga_ndhwc_"
    "ndhwc_ndhwc_align4_1sm_relu": "tf32",
    "cutlass3x_sm100_simt_sgemm_f32_f32_f32_f32_f32_128x128x16_1x1x1_3_nnn_align1_bias_f32_relu": "fp32",
    # Tactics in published TensorRT logs.
    "sm80_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckrsc_nhwc_tilesize128x128x16_stage4_warpsize2x2x1_g1_"
    "tensor16x8x8_simple_t1r1s1": "tf32",
    "sm80_xmma_gemm_f32f32_tf32f32_f32_nn_n_tilesize128x128x16_stage4_warpsize2x2x1_tensor16x8x8": "tf32",
    "sm75_xmma_fprop_implicit_gemm_indexed_wo_smem_f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize128x16x32_stage1_"
    "warpsize4x1x1_g1_tensor16x8x8_aligna4_alignc8": "fp16",
    # Names in TensorRT-RTX 1.6.
    "sm70_xmma_fprop_implicit_gemm_indexed_f32f32_f32f32_f32_nchwkcrs_nchw_tilesize128x32x8_stage1_warpsize2x2x1_"
    "g1_ffma_aligna4_alignc4": "fp32",
    # Integers and float8: cuBLAS, cuDNN, TensorRT-RTX.
    "sm80_xmma_fprop_implicit_gemm_interleaved_i8f32_i8i32_f32_nchw_vect_c_32kcrs_vect_c_32_nchw_tilesize128x128x64_"
    "stage4_warpsize2x2x1_g1_tensor16x8x32_t1r3s3_alignc4": "int8",
    "sm80_xmma_fprop_implicit_gemm_i8i8_i8i32_f32_nhwckrsc_nhwc_tilesize128x128x64_stage4_warpsize2x2x1_g1_"
    "tensor16x8x32_wo_epi_swizzle_simple_t1r1s1": "int8",
    "sm90_xmma_gemm_i8i32_i8i32_i32_tn_n_tilesize64x256x128_cgasize1x1x1_warpgroupsize1x1x1_aligna4_alignc4_"
    "execute_split_k_kernel__5x_cublas": "int8",
    "_ZN7cutlass7Kernel2I57cutlass_80_tensorop_s8_i16832gemm_s8_64x64_64x5_tn_align4EEvNT_6ParamsE": "int8",
    "_ZN7cutlass7Kernel2I49cutlass_75_tensorop_i8816gemm_s8_64x64_tn_align16EEvNT_6ParamsE": "int8",
    "_ZN7cutlass7Kernel2I79cutlass_80_wmma_tensorop_s8_i161616gemm_s8_forwardCompat_128x128_32x2_tt_align4EEvNT_"
    "6ParamsE": "int8",
    "ampere_int8_i16832gemm_int8_256x128_ldg16_relu_stages_64x3_nt": "int8",
    "_5x_cudnn_ampere_int8_i8816cudnn_int8_128x128_ldg16_relu_interior_nt_v1": "int8",
    "volta_igemm_int8_128x128_ldg4_upper_tn": "int8",
    "cutlass3x_sm100_tensorop_i128x64x32gemm_s8_s8_s32_s8_s8_128x64x128_0_nnn_align16_2sm_epi_tma_ptr_array": "int8",
    "cutlass3x_sm100_tensorop_i64x64x32implicit_gemm_fprop_s8_s8_s32_void_s8_f32_64x64x128_dyn_cga_ndhwc_ndhwc_ndhwc_"
    "align16_1sm_relu_valpha": "int8",
    "cutlass3x_sm100_tensorop_s128x128x32gemm_e4m3_e4m3_f32_f32_f32_128x128x128_0_nnn_align16_1sm_bias_"
    "bf16_gelu": "fp8",
    "cutlass3x_sm100_tensorop_s128x128x32implicit_gemm_fprop_e4m3_e4m3_f32_bf16_bf16_f32_128x128x128_dyn_cga_ndhwc_"
    "ndhwc_ndhwc_align16_1sm_relu": "fp8",
    "sm89_xmma_fprop_implicit_gemm_e4m3bf16_e4m3f32_f32_nhwckrsc_nhwc_tilesize128x128x64_stage3_warpsize2x2x1_"
    "g1": "fp8",
    "sm89_xmma_gemm_e4m3f16_e4m3f32_f32_tn_n_tilesize32x64x64_stage5_warpsize2x2x1_tensor16x8x32_bias_f16_algo2_"
    "execute_kernel__5x_cublas": "fp8",
}
SILENT = (
    # PyTorch: elementwise, pooling, copies.
    "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<c10::BFloat16>, "
    "std::array<char*, 3ul>>",
    "void at::native::(anonymous namespace)::max_pool_forward_nchw<float>(int, float const*, long, long, long, int)",
    "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<c10::Half, at::native::MeanOps<c10::Half, float>>>",
    # cuDNN: layouts, batch normalisation, transforms around a Winograd product.
    "void cudnn::engines_precompiled::nchwToNhwcKernel<__half, __half, float, false, true, (cudnnKernelDataType_t)0>",
    "void cudnn::bn_fw_inf_1C11_kernel_NCHW<float, float, true, 1>(float, float, cudnnTensorStruct, float const*)",
    "void cudnn::winograd_nonfused::winogradForwardData4x4<float, float>"
    "(cudnn::winograd_nonfused::WinogradDataParams<float, float>)",
    "void cudnn::winograd::generateWinogradTilesKernel<0, float, float>"
    "(cudnn::winograd::GenerateWinogradTilesParams<float, float>)",
    # float16 or bfloat16 tensors in float32 arithmetic.
    "ampere_fp16_sgemm_fp16_128x128_nt",
    "_5x_cudnn_ampere_fp16_scudnn_fp16_128x128_relu_interior_nn_v1",
    "void convolve_common_engine_float_NHWC<__half, __half, 128, 5, 5, 3, 3, 3, true, false, false, false, false>",
    # float32 tensors in several products of parts, or in products of fewer bits than TF32 has.
    "cutlass3x_sm100_tensorop_s128x128x16_9xbf16gemm_f32_f32_f32_f32_f32_128x128x32_0_tnn_align4_1sm_bias_f32_relu",
    "_ZN7cutlass7Kernel2I56cutlass_80_tensorop_s1688bf16gemm_128x128_16x4_tt_align4EEvNT_6ParamsE",
    # float8 as cuBLAS abbreviates it, float8 of two kinds, float64 (also made of integers), complex.
    "nvjet_qqtst_128x160_128x6_2x1_v_bz_TNT",
    "sm89_xmma_gemm_e5m2e4m3f32_e5m2e4m3f32_f32_tn_n_tilesize32x64x64_stage5_warpsize2x2x1_tensor16x8x32",
    "_ZN7cutlass7Kernel2IN17cublasLt_imma_emu49cutlass_80_tensorop_z884gemm_64x64_8x3_tn_align1EEEvNT_6ParamsE",
    "cublasLt_fused_imma_dgemm_kernel_sm90",
    "sm90_xmma_gemm_f64f64_f64f64_f64_tn_n_tilesize128x128x16_stage3_warpsize4x2x1_tensor16x8x16",
    "sm90_xmma_gemm_cf32cf32_tf32f32_cf32_tt_n_tilesize64x64x16_cgasize1x1x1_warpgroupsize1x1x1_aligna8_alignc8",
    "ampere_gcgemm_32x32_nt",
    # cuBLAS: sums of a split product; and kernels that compilers generate, whose names are theirs.
    "void cublasLt::splitKreduce_kernel<32, 16, int, float, __half, float, __half, true, false, false>",
    "cudnn_generated_fort_native_sdpa_sm80_flash_fprop_wmma_f16_knob_6_128x64x64_4x1x1_cga1x1x1_kernel0_0",
    "__myl_Fc_myl2_0",
    "triton_poi_fused_convolution_5",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_product_says_what_it_multiplies(name):
    assert evidence([name]) == {NAMES[name]}


@pytest.mark.parametrize("name", SILENT)
def test_a_name_that_does_not_say_is_no_evidence(name):
    assert evidence([name]) == set()


def test_kernels_of_several_precisions_are_all_evidence():
    assert evidence([*NAMES, *SILENT]) == {"fp32", "tf32", "fp16", "bf16", "int8", "fp8"}
    assert evidence([]) == set()


def test_a_profiler_that_fails_costs_nothing_and_says_why(monkeypatch):
    def refuse(session):
        raise RuntimeError("CUPTI\nis taken")

    monkeypatch.setattr(kernels, "names", refuse)
    assert kernels.measure(None, None) == {"ms": {}, "error": "RuntimeError: CUPTI is taken"}


def test_a_witness_has_the_times_of_its_kernels(monkeypatch):
    found = {"volta_h884gemm_64x64_ldg8_nn": 0.25, "elementwise_kernel": 0.125}
    monkeypatch.setattr(kernels, "names", lambda session: found)
    assert kernels.measure(None, None) == {"ms": found}


@pytest.mark.parametrize(
    ("seen", "shown"),
    [
        (
            [{"ms": {"volta_h884gemm_64x64_ldg8_nn": 0.25, "elementwise_kernel": 0.125, "ampere_sgemm_64": 1}}],
            "fp16, fp32",
        ),
        ([{"ms": {"elementwise_kernel": 0.125}}], None),
        ([{"ms": {}, "error": "RuntimeError: CUPTI is taken"}], None),
        ([], None),
    ],
)
def test_the_table_has_the_precisions_that_the_names_show(seen, shown):
    records = [make_record("resnet18-pytorch-fp16-r64-b1", probes={"kernels": one}) for one in seen]
    records.append(make_record("resnet18-pytorch-fp16-r64-b1", turn="round2"))
    assert make_table(records).kernels[0] == shown


@pytest.mark.parametrize(
    ("device", "turn", "batch_size", "asked"),
    [
        ("cuda", "round1", 8, True),
        ("cpu", "round1", 8, False),
        ("cuda", "round2", 8, False),
        ("cuda", "round1", 1, False),
    ],
)
def test_they_are_looked_at_in_the_first_round_on_a_gpu_at_the_batch_size_of_the_control(
    device, turn, batch_size, asked
):
    control = Cell.parse("resnet18-pytorch-fp32-r64-b8")
    assert kernels.asked(replace(control, batch_size=batch_size), turn, device, {}, control) is asked
