"""Every format that is built in passes the suite that formats of others have to pass."""

from __future__ import annotations

import pytest

from athena_tuning.interchange import registry
from athena_tuning.testing.formats import FormatSuite, made_files

NOT_MADE = {"athena"}  # our own exports have tests of their own


@pytest.fixture(params=[r for r in registry().recognisers if r.name not in NOT_MADE], ids=lambda r: r.name)
def _format(request):
    suite = request.instance
    suite.recogniser = request.param
    suite.files = [file for file in made_files() if file.format == request.param.name]


@pytest.mark.usefixtures("_format")
@pytest.mark.slow
class TestBuiltIn(FormatSuite):
    pass
