"""What is sent to somebody: runs, plans and outcomes as flat tables, as drawings without a script, and as one page.

Front doors: `gathered.gather`, `page.page`, `tables`, `svg`.
It never imports torch, Plotly or what draws on screens, and nothing of a page that it writes comes from elsewhere.
"""
