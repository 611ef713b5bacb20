"""Which steps of the cache a build may take that names images as its sources."""

from __future__ import annotations

from stackr.runtime.engine.build.cache import CacheRecord
from stackr.runtime.engine.build.lineage import Lineage

BASE = {"created": "1", "created_by": "base"}
ENV = {"created": "9", "created_by": "ENV A=1", "empty_layer": True}
RUN = {"created": "2", "created_by": "RUN one"}
MADE = CacheRecord("k", "sha256:1", created="2")


def test_steps_that_a_named_image_is_made_of() -> None:
    lineage = Lineage([[BASE], [BASE, ENV, RUN]])
    assert lineage.leads([BASE], "ENV A=1", None)
    without_time = {"created_by": "ENV A=1", "empty_layer": True}
    assert lineage.leads([BASE, without_time], "RUN one", MADE)


def test_other_steps() -> None:
    lineage = Lineage([[BASE, ENV, RUN]])
    assert not lineage.leads([BASE], "RUN one", MADE)
    assert not lineage.leads([BASE], "ENV A=2", None)
    assert not lineage.leads([BASE, ENV], "RUN one", CacheRecord("k", "sha256:2", created="3"))
    assert not lineage.leads([BASE, ENV], "RUN one", CacheRecord("k"))
    assert not lineage.leads([BASE, ENV, RUN], "ENV A=1", None)


def test_no_image_that_is_here_leads_to_no_step() -> None:
    assert not Lineage([]).leads([], "ENV A=1", None)
