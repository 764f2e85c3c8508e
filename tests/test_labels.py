"""The six classes are the same in both places that define them."""

from exhubert import configuration_exhubert, labels


def test_the_configuration_that_travels_alone_has_the_same_classes():
    assert configuration_exhubert.SIX_CLASSES == labels.SIX_CLASSES
