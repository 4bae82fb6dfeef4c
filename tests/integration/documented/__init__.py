"""What the documents tell readers to type: where it stands, and how CI runs it.

rows_*.py are the tables; a new command goes into the one of its program.
"""

from documented.row import Row
from documented.rows_benchmarks import BENCHMARKS
from documented.rows_edge import EDGE
from documented.rows_evaluation import EVALUATION
from documented.rows_networks import NETWORKS
from documented.rows_rest import REST
from documented.rows_training import TRAINING

ROWS: tuple[Row, ...] = (*TRAINING, *EVALUATION, *BENCHMARKS, *NETWORKS, *EDGE, *REST)
