"""The columns of evidence: what ran, how right its answers are, and under what conditions it was measured."""

from speedgrid.text.column import DB, HIGHER, INTEGER, LOWER, NONE, NUMBER, PERCENT, SECONDS, TEXT, YES_NO, Column
from speedgrid.text.language import N_

PRECISION = (
    Column(
        "observed_precision",
        TEXT,
        NONE,
        None,
        N_("precision that ran"),
        "What the outputs' error against float64 shows to have been computed, whatever the label says.",
    ),
    Column(
        "quantised_nodes",
        TEXT,
        NONE,
        None,
        N_("nodes run quantised"),
        "Convolutions and matrix products of a quantised model that the session executes so, by its own account.",
    ),
    Column(
        "fused_convolutions",
        TEXT,
        NONE,
        None,
        N_("convolutions fused"),
        "Convolutions of `pytorch_fused` whose kernel also computes what follows them; for the others torch's own "
        "operators run, and the record says why (`details`).",
    ),
)

ANSWER = (
    Column(
        "snr_db",
        NUMBER,
        DB,
        HIGHER,
        N_("SNR"),
        "Signal-to-noise ratio of the outputs against a float64 reference, of all images together: the worst round; of "
        "a model with several outputs that of the one that falls furthest short of what its precision gives it.",
    ),
    Column(
        "snr_reference",
        TEXT,
        NONE,
        None,
        N_("reference"),
        "What the right answers are that `snr_db` is against: float64, or of an ONNX file onnxruntime fp32, its CPU "
        "provider with optimisations off, whose own rounding is then in the ratio.",
    ),
    Column(
        "top1_agreement",
        NUMBER,
        NONE,
        HIGHER,
        N_("top-1 agreement with float64"),
        "Share, 0 to 1, of the reference images whose best class is that of float64, flips between classes too close "
        "to call not counted.",
    ),
    Column(
        "worst_output",
        TEXT,
        NONE,
        None,
        N_("output that is furthest off"),
        "The output that `snr_db` is of, of a model with several.",
    ),
    Column(
        "pixel_agreement",
        NUMBER,
        NONE,
        HIGHER,
        N_("pixels of the right class"),
        "Share, 0 to 1, of the pixels of a segmentation model's masks that have the class of the right answer: the "
        "worst round.",
    ),
    Column(
        "miou",
        NUMBER,
        NONE,
        HIGHER,
        N_("mIoU beside the right masks"),
        "Mean intersection over union, 0 to 1, of the classes of a segmentation model's masks with those of the right "
        "answer, all images together: the worst round.",
    ),
    Column(
        "matched_boxes",
        NUMBER,
        NONE,
        HIGHER,
        N_("boxes matched"),
        "F1, 0 to 1, of a detection model's boxes and the right ones, matched one to one within their class where they "
        "overlap by a half; boxes count from a score of 0.25, or half of the best where none has it.",
    ),
    Column(
        "tightly_matched_boxes",
        NUMBER,
        NONE,
        HIGHER,
        N_("boxes matched tightly"),
        "The same where only boxes that overlap by 0.95 are matches.",
    ),
    Column(
        "excused_boxes",
        INTEGER,
        NONE,
        LOWER,
        N_("boxes too near to the threshold"),
        "Boxes that one side has and the other has not, with a score within 0.01 of the threshold: they count neither "
        "for nor against it.",
    ),
    Column(
        "exact_integers",
        NUMBER,
        NONE,
        HIGHER,
        N_("integers that are exact"),
        "Share, 0 to 1, of the integers among a model's outputs that are those of the right answer: the worst round.",
    ),
)

ACCURACY = (
    Column(
        "top1",
        NUMBER,
        NONE,
        HIGHER,
        N_("top-1 accuracy"),
        "Share, 0 to 1, of the evaluation images that get their right class, measured once for each model, backend and "
        "precision; interval of Wilson.",
        interval=True,
    ),
    Column(
        "top1_loss",
        NUMBER,
        NONE,
        LOWER,
        N_("loss of top-1 accuracy"),
        "`top1` of the float32 model on the CPU less that of this row, on the same images: below 0 where this row is "
        "right more often; interval of Newcombe (1998), method 10.",
        interval=True,
    ),
    Column(
        "agreement",
        NUMBER,
        NONE,
        HIGHER,
        N_("agreement with float32"),
        "Share, 0 to 1, of the evaluation images that get the class that the float32 model gives them.",
    ),
)

CHOICE = (
    Column(
        "auto",
        YES_NO,
        NONE,
        None,
        N_("chosen precision"),
        "Whether this is the backend's fastest precision that loses at most `accuracy.max_top1_loss`.",
    ),
)

CONDITIONS = (
    Column(
        "gpu_busy_percent",
        NUMBER,
        PERCENT,
        None,
        N_("GPU busy"),
        "Share of the time in which a kernel ran on the GPU while the cell was timed, by NVML: median over rounds.",
    ),
    Column(
        "throttled",
        TEXT,
        NONE,
        None,
        N_("why the clock was lowered"),
        "NVML's reasons why the GPU held its clock down while the cell was timed, in any round.",
    ),
    Column(
        "limiter",
        TEXT,
        NONE,
        None,
        N_("limited by"),
        "What limits the row: host-launch-, compute-, memory- or kernel-bound, or power-capped.",
    ),
    Column(
        "coverage_percent",
        NUMBER,
        PERCENT,
        HIGHER,
        N_("% of the model that ran as asked"),
        "Share of the model that ran on the device and in the runtime asked for, by the runtime's own account.",
    ),
)

MEASURING = (
    Column(
        "session",
        TEXT,
        NONE,
        None,
        N_("session"),
        "The session of measuring that its rounds are of, by number in time: what was timed for one start of the "
        "workflow.",
    ),
    Column(
        "slowdown",
        NUMBER,
        NONE,
        LOWER,
        N_("slowdown of the session"),
        "How many times as long the reference took in that session as in the quickest one: at the row's place, or else "
        "the control cell. Figures of rows of two sessions are compared through it.",
        interval=True,
        proven=True,
    ),
    Column(
        "quiet_percent",
        NUMBER,
        PERCENT,
        HIGHER,
        N_("% of the time in quiet"),
        "Share of the timed seconds in which nothing else had the machine; what was timed in the others is kept in the "
        "records and set aside.",
    ),
    Column(
        "build_seconds",
        NUMBER,
        SECONDS,
        LOWER,
        N_("time to build"),
        "Time that compiling or building what the backend runs took, once.",
    ),
    Column(
        "load_seconds",
        NUMBER,
        SECONDS,
        LOWER,
        N_("time to load"),
        "Time to load the model and make its first call: median over rounds.",
    ),
    Column(
        "rounds",
        INTEGER,
        NONE,
        None,
        N_("rounds"),
        "How many rounds its figures are made of, each in a fresh state of its process.",
    ),
    Column(
        "freedom",
        NUMBER,
        NONE,
        None,
        N_("degrees of freedom"),
        "Degrees of freedom of what differs between processes, on which the interval of `latency_ms` rests: one less "
        "than there are rounds; of one or two rounds those of the cells like it, too; empty where nothing is known.",
    ),
    Column(
        "runs",
        INTEGER,
        NONE,
        None,
        N_("timed calls"),
        "How many calls were timed, in all rounds together.",
    ),
    Column(
        "device",
        TEXT,
        NONE,
        None,
        N_("device"),
        "The GPU or processor that the row was measured on, by its driver's or its system's name for it.",
    ),
)
