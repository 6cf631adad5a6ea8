"""Navigation, and the strip above every screen."""

from pathlib import Path

import streamlit as st

from core.errors import SecateurError
from dashboard import reading, strip, workbench
from dashboard.theme import COMPACT

HERE = Path(__file__).parent
VIEWS = HERE / "views"

st.set_page_config(page_title="Secateur", page_icon=str(HERE / "icon.svg"), layout="wide")
st.logo(HERE / "icon.svg", size="large")
st.html(f"<style>{COMPACT}</style>")
page = st.navigation(
    [
        st.Page(VIEWS / "model.py", title="Model", icon=":material/deployed_code:", default=True),
        st.Page(VIEWS / "map.py", title="Map", icon=":material/grid_on:", url_path="map"),
        st.Page(VIEWS / "tune.py", title="Tune", icon=":material/tune:", url_path="tune"),
        st.Page(VIEWS / "recover.py", title="Recover", icon=":material/healing:", url_path="recover"),
        st.Page(VIEWS / "deliver.py", title="Deliver", icon=":material/package_2:", url_path="deliver"),
    ],
    position="top",
)
try:
    if strip.draw() and reading.draw(workbench.chosen_model()):
        page.run()
except SecateurError as error:  # a locked workspace, a file that was deleted, a run that another browser resumed
    st.error(str(error), icon=":material/error:")
