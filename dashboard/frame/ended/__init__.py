"""Who is told that a run has ended: a note in the page, its title, a way to the place.

Front doors: `notices.take`, `notices.draw`. It never waits for a run.
"""
