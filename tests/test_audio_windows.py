"""What holds of windows, resampling, mixing and silence, whatever the lengths, rates and cuts."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exhubert.audio import load_audio, resample, stream_audio, stream_samples
from exhubert.audio_windows import cut_windows, is_silent, sound_frames, windows_of

bounded = settings(derandomize=True, deadline=None, max_examples=100)
a_few = settings(bounded, max_examples=40)
rates = st.sampled_from([8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000])
rates |= st.integers(8_000, 192_000)


@st.composite
def cut_recordings(draw, longest=2_000):
    """A recording whose samples are their own numbers, and the same in blocks, some of them empty."""
    total = draw(st.integers(0, longest))
    cuts = sorted(draw(st.lists(st.integers(0, total), max_size=8)))
    samples = np.arange(total, dtype=np.float32)
    return samples, np.split(samples, cuts)


@st.composite
def lengths_and_hops(draw):
    length = draw(st.integers(1, 500))
    return length, draw(st.integers(max(1, length // 20), length))


@bounded
@given(cut_recordings(), lengths_and_hops())
def test_windows_cover_every_sample_in_order_and_end_with_the_recording(recording, length_and_hop):
    (samples, _), (length, hop) = recording, length_and_hop
    windows = cut_windows(samples, length, hop)
    if len(samples) <= length:
        assert len(windows) == 1 and np.array_equal(windows[0], samples)
        return
    assert {len(window) for window in windows} == {length}
    starts = [int(window[0]) for window in windows]
    assert all(np.array_equal(w, np.arange(s, s + length)) for w, s in zip(windows, starts, strict=True))
    steps = np.diff(starts)
    assert starts[0] == 0 and (steps[:-1] == hop).all() and 0 < steps[-1] <= hop
    assert windows[-1][-1] == samples[-1]
    if hop == length:
        times_heard = np.bincount(np.concatenate(windows).astype(int), minlength=len(samples))
        again = (len(windows) * length) - len(samples)  # only the last window goes back, to be as long as the others
        assert times_heard.min() == 1 and times_heard.sum() == len(samples) + again and again < length


@bounded
@given(cut_recordings(), lengths_and_hops())
def test_windows_of_a_stream_do_not_depend_on_how_it_comes(recording, length_and_hop):
    (samples, blocks), (length, hop) = recording, length_and_hop
    found = list(windows_of(blocks, length, hop))
    whole = cut_windows(samples, length, hop)
    assert [window.tolist() for _, window, _ in found] == [window.tolist() for window in whole]
    assert all(start == window[0] for start, window, _ in found if len(window))
    assert [is_last for *_, is_last in found] == [False] * (len(whole) - 1) + [True]


@a_few
@given(rates, rates, st.integers(0, 20_000))
def test_resampling_keeps_the_duration_to_a_sample(rate, target_rate, total):
    found = resample(np.zeros(total, dtype=np.float32), rate, target_rate)
    assert abs(len(found) - total * target_rate / rate) <= 1 and found.dtype == np.float32


@a_few
@given(rates, rates, cut_recordings(longest=20_000), st.integers(0, 2**32 - 1))
def test_resampling_does_not_depend_on_how_a_stream_comes(rate, target_rate, recording, seed):
    order, blocks = recording
    noise = np.random.default_rng(seed).uniform(-1, 1, len(order)).astype(np.float32)
    streamed = list(stream_samples([noise[block.astype(int)] for block in blocks], rate, target_rate))
    whole = resample(noise, rate, target_rate)
    np.testing.assert_allclose(np.concatenate(streamed), whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("offset", [-0.98, 0.04, 0.5, 3.0])
def test_an_offset_does_not_ring_at_the_ends_when_it_is_resampled(rate, offset):
    """A dead line whose bytes are all zero is such an offset, in 8-bit PCM and mu-law."""
    samples = np.full(3 * rate, offset, dtype=np.float32)
    whole = resample(samples, rate)
    assert is_silent(whole) and whole.dtype == np.float32 and whole.mean() == pytest.approx(offset, rel=1e-3)
    streamed = np.concatenate(list(stream_samples(np.split(samples, [1, 10, rate]), rate)))
    np.testing.assert_allclose(streamed, whole, rtol=0, atol=1e-5)


def wav(samples, subtype="FLOAT", rate=16_000) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", subtype=subtype)
    return buffer.getvalue()


@a_few
@given(st.integers(1, 12), st.integers(1, 300), st.randoms(use_true_random=False))
def test_channels_are_averaged_in_any_order(channels, total, random):
    samples = np.random.default_rng(channels * total).uniform(-1, 1, (total, channels)).astype(np.float32)
    order = random.sample(range(channels), channels)
    found = load_audio(wav(samples))
    np.testing.assert_allclose(found, samples.astype(float).mean(axis=1), rtol=0, atol=1e-6)
    np.testing.assert_allclose(load_audio(wav(samples[:, order])), found, rtol=0, atol=1e-6)
    np.testing.assert_allclose(np.concatenate(list(stream_audio(wav(samples)))), found, rtol=0, atol=0)


@a_few
@given(
    st.sampled_from([("PCM_U8", 8), ("PCM_16", 16), ("PCM_24", 24), ("PCM_32", 32)]),
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=50),
)
def test_integer_pcm_is_read_with_full_scale_as_one(encoding, values):
    subtype, bits = encoding
    stored = (np.array(values, dtype=np.int32) >> (32 - bits)) << (32 - bits)
    expected = stored.astype(np.float64) / 2**31
    np.testing.assert_allclose(load_audio(wav(stored, subtype)), expected, rtol=1e-7, atol=0)


def offsets(total: int, size: float, at: int) -> dict[str, np.ndarray]:
    """What a recorder without sound may add: nothing, a constant, a slow drift, a jump."""
    index = np.arange(total)
    return {
        "none": np.zeros(total),
        "constant": np.full(total, size),
        "drift": size * index / 48_000,
        "jump": np.where(index < at, size, -size),
    }


@bounded
@given(
    st.integers(800, 5_000),
    st.integers(0, 4_999),
    st.floats(-120, -10),
    st.sampled_from(["none", "constant", "drift", "jump"]),
    st.floats(-0.5, 0.5),
)
@example(1_590, 1_509, -20.0, "none", 0.0)  # at the very end, after the last whole frame
def test_a_sound_anywhere_in_a_window_is_no_silence_whatever_the_offset(total, at, decibels, kind, size):
    """A burst of 5 ms has a tenth of its power over 50 ms, or a twentieth where two frames divide it."""
    first = at % (total - 80)
    samples = offsets(total, size, total - 1 - first)[kind]
    samples[first : first + 80] += 10 ** (decibels / 20) * (-1.0) ** np.arange(80)
    if abs(decibels + 50 - 1.5) > 2.5:
        assert is_silent(samples.astype(np.float32)) == (decibels < -50)


@pytest.mark.parametrize("kind", ["none", "constant", "drift", "jump"])
@pytest.mark.parametrize(("total", "rate"), [(1, 16_000), (2, 16_000), (400, 16_000), (799, 16_000), (96_000, 44_100)])
def test_an_offset_alone_is_silence_however_short(kind, total, rate):
    dither = np.random.default_rng(0).normal(0, 3e-5, total)
    samples = (offsets(total, 0.3, total // 3)[kind] + dither).astype(np.float32)
    assert is_silent(samples, rate)
    assert all(np.abs(frames).max() < 3e-4 for frames in sound_frames(samples, rate))


@pytest.mark.parametrize("frequency", [60, 80, 200, 3_000])
def test_low_voices_are_judged_as_high_ones(frequency):
    tone = np.sqrt(2) * np.sin(2 * np.pi * frequency * np.arange(4_000) / 16_000)
    assert is_silent((10 ** (-61 / 20) * tone).astype(np.float32))
    assert not is_silent((10 ** (-59 / 20) * tone).astype(np.float32))


def test_neither_nothing_nor_nan_is_taken_for_sound_or_silence():
    assert is_silent(np.zeros(0, np.float32))
    assert not is_silent(np.full(8_000, np.nan, np.float32))
