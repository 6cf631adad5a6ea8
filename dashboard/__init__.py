"""The dashboard: Streamlit screens over the plain values of `core`. Never imports torch."""
