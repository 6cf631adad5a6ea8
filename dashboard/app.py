"""Navigation, and the strip above every screen."""

from pathlib import Path

import streamlit as st

from core.errors import SecateurError
from dashboard.frame import help, only_looked_at, reading, strip, workbench
from dashboard.frame.ended import notices
from dashboard.frame.tables import room
from dashboard.frame.theme import COMPACT, LEGIBLE

HERE = Path(__file__).parent
SCREENS = HERE / "screens"

st.set_page_config(page_title="Secateur", page_icon=str(HERE / "icon.svg"), layout="wide")
st.logo(HERE / "icon.svg", size="large")
st.html(f"<style>{COMPACT}{LEGIBLE}</style>")
pages = [
    st.Page(SCREENS / "model" / "screen.py", title="Model", icon=":material/deployed_code:", default=True),
    st.Page(SCREENS / "map" / "screen.py", title="Map", icon=":material/grid_on:", url_path="map"),
    st.Page(SCREENS / "tune" / "screen.py", title="Tune", icon=":material/tune:", url_path="tune"),
    st.Page(SCREENS / "recover" / "screen.py", title="Recover", icon=":material/healing:", url_path="recover"),
    st.Page(SCREENS / "deliver" / "screen.py", title="Deliver", icon=":material/package_2:", url_path="deliver"),
]
page = st.navigation(pages, position="top")
try:
    only_looked_at.draw()
    notices.take({one.url_path or "model": one for one in pages})
    notices.draw()
    room.watch()
    if strip.draw(page.url_path or "model") and reading.draw(workbench.chosen_model()):
        page.run()
except SecateurError as error:  # a locked workspace, a file that was deleted, a run that another browser resumed
    help.refusal(str(error))
