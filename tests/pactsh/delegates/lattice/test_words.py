"""The words for states fit together."""

from pactsh.delegates.lattice.words import ENDED, HOLDING, JOB_STATES, MAY_BECOME, NODE_STATES


def test_every_state_of_a_node_has_its_changes() -> None:
    assert MAY_BECOME.keys() == set(NODE_STATES)
    assert set().union(*MAY_BECOME.values()) <= set(NODE_STATES)


def test_a_drain_can_t_be_undone_before_it_is_over() -> None:
    assert MAY_BECOME["draining"] == {"drained"}


def test_a_job_that_has_ended_holds_nothing() -> None:
    assert set(JOB_STATES) >= ENDED | HOLDING
    assert set(JOB_STATES) - ENDED - HOLDING == {"pending"}
    assert not ENDED & HOLDING
