"""What operators see and do: a service of all reads and guarded writes, pure figures, and the page frame.

Only ``shell`` and the pages import streamlit; the command line uses ``service`` without it.
"""
