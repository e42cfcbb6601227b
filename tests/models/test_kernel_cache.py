"""Loops compiled from other sources are not taken for these."""

from typing import Any

from speclight.models.kernel_cache import KERNELS_FOLDER, PARTS, digest_of_parts, kept_kernels


def _written(folder, texts):
    folder.mkdir()
    for part, text in zip(PARTS, texts, strict=True):
        (folder / part).write_text(text)
    return digest_of_parts(folder)


def test_every_part_counts(tmp_path):
    """numba itself looks at nothing but the module that a loop stands in."""
    texts = [f"{number} = 0" for number, _ in enumerate(PARTS)]
    first = _written(tmp_path / "first", texts)
    assert _written(tmp_path / "same", texts) == first
    for place in range(len(texts)):
        other = [*texts[:place], "another", *texts[place + 1 :]]
        assert _written(tmp_path / f"other-{place}", other) != first


def test_kept_below_the_cache_folder_while_the_block_lasts(tmp_path, monkeypatch):
    from numba.core import config

    monkeypatch.setenv("SPECLIGHT_CACHE", str(tmp_path))
    settings: Any = config  # filled from the environment when it is imported
    before = settings.CACHE_DIR
    with kept_kernels():
        assert settings.CACHE_DIR.startswith(str(tmp_path / KERNELS_FOLDER))
    assert before == settings.CACHE_DIR
