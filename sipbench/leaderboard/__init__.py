"""Results that others hand in, checked and ranked beside each other: `sipbench leaderboard A B`.

handed      a cell by what its cell.json says of it, and whether it is about a problem of the table
verify      its scores anew from what is stored: what is claimed is compared, never believed
board       the rows of all folders as one table; what was rejected and why; what was handed in twice
write       Markdown, CSV, LaTeX, JSON and a page
"""
