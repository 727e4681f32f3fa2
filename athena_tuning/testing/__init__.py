"""Conformance suites for what others add: a subclass of a suite is a test class of pytest.

``formats`` holds the suite for recognisers of file formats, and files of every format that is built in. The
asserts of the suites explain themselves best after
``pytest.register_assert_rewrite("athena_tuning.testing")`` in a ``conftest.py``.
"""
