"""What decoding video costs: the clip and users' videos, the processes that decode, and what a table makes of them."""

import json
import socket
import sys
import threading
from pathlib import Path

import pytest
from builders import make_decoding, make_records, make_run
from workflow import Workflow

from speedgrid.report import markdown as report
from speedgrid.report.findings import decoding as findings
from speedgrid.serving import clip, decoding, video
from speedgrid.table import decoding as table
from speedgrid.text.language import speaking

ROOT = Path(__file__).parent.parent
# Without PyAV, which is not among what every user installs, nothing can be decoded.
needs_av = pytest.mark.skipif(video.lacking() is not None, reason="PyAV is not installed")
SIZE = (96, 128)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Return a small clip: 35 frames of each photograph."""
    path = tmp_path_factory.mktemp("clip") / "small clip.mp4"
    clip.encode(path, SIZE, 35)
    return path


@needs_av
def test_the_clip_is_what_its_description_says(small, tmp_path):
    found = video.describe(small, "photographs")
    assert (found["codec"], found["width"], found["height"], found["fps"]) == ("h264", 128, 96, 30)
    assert (found["frames"], found["gop"], found["pixel_format"]) == (70, clip.GOP, "yuv420p")
    assert found["bytes"] == small.stat().st_size
    seconds = 70 / 30
    assert 0.5 < 1e6 * found["mbit_s"] * seconds / 8 / found["bytes"] <= 1
    clip.encode(tmp_path / "again.mp4", SIZE, 35)
    assert video.describe(tmp_path / "again.mp4", "photographs") == found


@needs_av
def test_frames_of_the_clip_are_the_photographs_that_move_and_no_two_are_alike(small):
    shown = list(clip.pictures(SIZE, 3))
    assert [one.shape for one in shown] == [(*SIZE, 3)] * 6
    assert len({one.tobytes() for one in shown}) == 6
    decoded = [one.to_ndarray(format="rgb24").astype(int) for one in video.frames(small, threads=1)]
    original = list(clip.pictures(SIZE, 35))
    # Compressed at a bit rate of cameras, noise is lost; the photograph is seen, and where its window is.
    for at, others in ((0, (20, 40)), (34, (10, 69)), (45, (10, 60))):
        own, *different = (abs(decoded[at] - original[one]).mean() for one in (at, *others))
        assert own < min(different)


@needs_av
def test_only_the_first_frames_of_a_long_video_are_decoded(small, monkeypatch):
    assert [len(list(video.frames(small, threads=1, most=most))) for most in (5, 1000)] == [5, 70]
    monkeypatch.setattr(video, "MOST_FRAMES", 40)
    monkeypatch.setattr(video.frames, "__defaults__", (40,))
    found = video.describe(small, "mine")
    assert (found["frames"], found["gop"]) == (40, 30)


def write(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "gone.mp4", "which is not there"),
        (lambda folder: folder, "which is no file but a folder"),
    ],
    ids=["gone", "folder"],
)
def test_a_video_that_is_no_file_is_refused_before_anything_runs(tmp_path, make, words):
    named = str(make(tmp_path))
    with pytest.raises(video.VideoError) as caught:
        video.require(named)
    assert str(caught.value) == (
        f"config key serving.video is {named!r}, {words}; it must be photographs or a video that can be read."
    )


def test_the_clip_and_no_video_are_no_files_of_the_user():
    assert video.require(None) is None
    assert video.require("photographs") is None


@needs_av
@pytest.mark.parametrize(
    "content", [b"", b"not a video\n" * 100, b"RIFF\0\0\0\0WAVEfmt "], ids=["empty", "text", "cut"]
)
def test_a_file_that_is_no_video_is_one_sentence_with_its_name(tmp_path, content):
    path = write(tmp_path / "mine.mp4", content)
    with pytest.raises(video.VideoError, match=r"mine\.mp4 .*config key serving\.video must be photographs or"):
        video.describe(path, "mine")


@needs_av
def test_a_file_cut_off_is_refused_or_described_by_what_is_left(small, tmp_path):
    whole = small.read_bytes()
    # Without its index, which an MP4 file has at its end.
    path = write(tmp_path / "cut.mp4", whole[: len(whole) // 2])
    with pytest.raises(video.VideoError, match=r"cut\.mp4 cannot be decoded"):
        video.describe(path, "mine")


@needs_av
def test_sound_alone_is_no_video(tmp_path):
    import wave

    with wave.open(str(tmp_path / "sound.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        file.writeframes(bytes(16000))
    with pytest.raises(video.VideoError, match=r"sound\.wav has no video in it"):
        video.describe(tmp_path / "sound.wav", "mine")


@needs_av
def test_damaged_titles_are_no_matter(tmp_path):
    import av
    import numpy as np

    path = tmp_path / "titled.avi"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "a title of mine"
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        container.mux([*stream.encode(frame), *stream.encode()])
    whole = path.read_bytes()
    assert b"a title of mine" in whole
    path.write_bytes(whole.replace(b"a title of mine", b"\xa6 title \xff\xfe mine"))
    assert video.describe(path, "mine")["frames"] == 1


@needs_av
@pytest.mark.parametrize("size", [(6000, 6000), (9000, 4000)])
def test_frames_of_more_pixels_than_any_video_has_are_refused_before_one_is_decoded(tmp_path, size):
    from PIL import Image

    Image.new("1", size).save(tmp_path / "large.png")
    with pytest.raises(
        video.VideoError, match=rf"large\.png has frames of {size[0]} x {size[1]} pixels, more than 35,"
    ):
        video.describe(tmp_path / "large.png", "mine")


@needs_av
def test_a_playlist_has_nobody_asked_for_what_it_names(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        asked = []
        server.settimeout(3)
        thread = threading.Thread(target=lambda: accept(server, asked))
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}/stream.ts"
        path = write(tmp_path / "list.m3u8", f"#EXTM3U\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n".encode())
        with pytest.raises(video.VideoError):
            video.describe(path, "mine")
        socket.create_connection(server.getsockname()).close()
        thread.join()
    assert asked == [b""]  # only this test came


def accept(server, asked):
    connection, _ = server.accept()
    with connection:
        asked.append(connection.recv(100))


@needs_av
def test_each_way_is_measured_on_one_stream_and_on_one_for_each_core(small, monkeypatch):
    monkeypatch.setattr(decoding, "physical_cores", lambda: 2)
    found = decoding.measure(small, "a clip", [32], seconds=0.01)
    assert (found["status"], found["reason"], found["cores"]) == ("ok", "", 2)
    assert (found["clip"]["source"], found["clip"]["frames"]) == ("a clip", 70)
    assert set(found["versions"]) == {"av", "libavcodec", "libswscale"}
    ways = [("decode", None), ("rgb", None), ("input", 32)]
    seen = [(one["way"], one["resolution"], one["threads"], len(one["passes"])) for one in found["series"]]
    assert seen == [("decode", None, 0, 1), *((*way, 1, count) for count in (1, 2) for way in ways)]
    for one in found["series"]:
        for passes in one["passes"]:
            assert len(passes) >= 3
            assert all(each["frames"] == 70 and each["cpu_s"] > 0 and each["wall_s"] > 0 for each in passes)
    # As a file has it, and a table reads it.
    assert table.to_input(json.loads(json.dumps(found)), 32).middle > 0


@needs_av
def test_a_decoder_that_dies_is_a_reason_and_no_traceback(small, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    found = decoding.measure(small, "a clip", [32])
    assert (found["status"], found["series"]) == ("failed", [])
    assert found["reason"].startswith("a decoder ended with code 1 before it had answered")


def test_without_pyav_nothing_is_decoded_and_how_to_install_it_is_said(monkeypatch):
    monkeypatch.setattr(video, "find_spec", lambda name: None)
    found = decoding.measure("no video", "a clip", [32])
    assert (found["status"], found["reason"]) == ("unavailable", "decoding needs PyAV: pip install av")
    assert (found["clip"], found["series"]) == (None, [])
    section = findings.section(found)
    assert section["sentences"] == ["Decoding was not measured: decoding needs PyAV: pip install av."]
    assert section["rows"] == []


def test_a_rate_is_of_core_seconds_whatever_time_passed():
    passes = [{"frames": 60, "wall_s": wall, "cpu_s": cpu} for wall, cpu in ((1, 0.5), (9, 0.3), (2, 0.4))]
    found = table.rate({"way": "decode", "resolution": None, "threads": 1, "passes": [passes]})
    assert found.middle == pytest.approx(150)
    assert found.low == pytest.approx(120)
    assert found.high == pytest.approx(200)
    assert table.wall_fps({"way": "decode", "resolution": None, "threads": 0, "passes": [passes, passes]}) == 60


@pytest.mark.parametrize(
    ("low", "cameras", "cores", "carried"),
    [(30.0, 1, 1, 2), (29.9, 1, 2, 1), (300.0, 10, 1, 20), (100.0, 10, 3, 6), (10.0, 2, 6, 0)],
)
def test_cores_and_cameras_are_counted_by_the_lower_end(low, cameras, cores, carried):
    rate = table.Rate(2 * low, low, 3 * low)
    assert rate.cores(cameras, 30) == cores
    assert rate.streams(2, 30) == carried


def test_rows_of_a_resolution_have_its_rate_and_others_none():
    results, run = make_run(make_records(), decoded=make_decoding({64: 240.0}))
    at = results.set_index(["resolution", "batch_size", "backend", "precision"]).decode_fps_per_core
    assert set(at[64]) == {240.0}
    assert at[128].isna().all()
    assert run["decoding"]["clip"]["codec"] == "h264"
    without, plain = make_run(make_records())
    assert without.decode_fps_per_core.isna().all()
    assert plain["decoding"] is None


def section_of(text, heading):
    return text.split(f"## {heading}\n")[1].split("\n## ")[0]


def test_the_report_says_what_decoding_costs():
    results, run = make_run(make_records(), decoded=make_decoding({64: 240.0}))
    text = section_of(report.markdown(results, run, ROOT / "templates" / "report.md.j2"), "What decoding video costs")
    assert "the input of a model, 64 x 64 pixels | 300 | 240 | 2 | 16 |" in text
    assert "h264 (High), 1920 x 1080 pixels, 30 frames/s, 4.00 Mbit/s, a key frame every 30 frames at most" in text
    assert "One stream alone, decoded with all cores, gives 900 frames/s." in text
    with speaking("ru"):
        head = findings.section(run["decoding"])["head"]
    assert head[3:] == ["10 камер по 30 кадр/с: ядер", "ядер 2: камер по 30 кадр/с"]


def test_a_report_of_a_run_without_it_says_nothing_of_it():
    results, run = make_run(make_records())
    del run["decoding"]  # as of an older version
    assert "decoding" not in report.markdown(results, run, ROOT / "templates" / "report.md.j2").lower()


def test_a_source_from_elsewhere_is_shown_as_it_is():
    decoded = make_decoding({64: 240.0})
    decoded["clip"]["source"] = "<b>*x*</b>.mp4"
    assert "&#60;b>\\*x\\*&#60;/b>.mp4" in findings.section(decoded)["sentences"][0]


def test_the_clip_is_encoded_for_whoever_has_no_video(tmp_path):
    tree = Workflow.fresh(tmp_path / "tree")
    asked = tree.write_config("video.yaml", {"serving": {"video": "photographs"}})
    jobs = tree.plan("--configfile", "config/smoke.yaml", asked).jobs
    assert (jobs["encode_video"], jobs["measure_decoding"]) == (1, 1)
    own = write(tmp_path / "my 'own' cameras.mp4", b"anything")
    asked = tree.write_config("own.yaml", {"serving": {"video": str(own)}})
    jobs = tree.plan("--configfile", "config/smoke.yaml", asked).jobs
    assert "encode_video" not in jobs
    assert jobs["measure_decoding"] == 1
