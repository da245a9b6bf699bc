"""`sipbench table`: compute what a table lacks, print and write it."""

from __future__ import annotations

from sipbench import configs
from sipbench.errors import UserError

HELP = """\
sipbench table NAME [profile=demo] [key=value ...]     compute what a table lacks, print and write it

  NAME                        sipbench list tables
  profile=demo|paper|...      its size and datasets
  dataset= degradation= method= seed=    one or more in place of the table's own, separated by commas
  results=FOLDER              where results lie and the table is written: FOLDER/PROFILE/NAME.md, .csv, .tex, .png
  device= batch_size= wandb.mode= retry_failed=true     how it is run
  compute=false               write what is there; nothing is computed
  kept=true                   cells that are not stored here are shown by the scores beside the table, NAME-images.csv,
                              where these answer the same question
  views=strip,zoom,errors     how it is shown, in the place of its own views: grid, pairs, glance, pareto, curve, ...,
                              strip (pictures), zoom (with insets where methods disagree most), errors (|x_hat - x|)
  measured=none               the published numbers alone, as they were published: NAME-published.md, .csv, .tex
  jobs=auto                   cells side by side, in so many processes: on a CPU as many as there are threads, at most 4

A table of which something was changed (a method, the number of images, an option) is written to FOLDER/partial/PROFILE,
so that the whole one stays. What another table, sweep or worker on FOLDER is at work on is left to that, and waited for
at the end. Exit code 0: all that can be measured is; 1: images failed or are to do; 2: something is lacking.

Example:  sipbench table table1 method=dps,dip images=2
"""


def main(words: list[str]) -> int:
    """Run the table that the first word names."""
    if not words or "=" in words[0]:
        raise UserError(f"which table? sipbench table {'|'.join(configs.names('table'))} [profile=demo]")
    configs.find("table", words[0])
    from sipbench.cluster.turn import Turn
    from sipbench.tables.run import run_table

    return run_table(words[0], words[1:], Turn.of)
