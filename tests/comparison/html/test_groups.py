from lightseg.comparison.html.groups import line_style


def test_line_style__of_35_groups_no_two_are_alike():
    assert len({line_style(group) for group in range(35)}) == 35
