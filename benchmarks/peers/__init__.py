"""Us beside the peers: published implementations of the same layers, with the same weights, run by turns.

`python -m benchmarks.peers --help` says how; a file of this folder is a peer, its `PEERS` the comparisons with it.
"""

from benchmarks.peers import mamba, mega, s4, s5, smr

PEERS = (*s4.PEERS, *s5.PEERS, *mega.PEERS, *mamba.PEERS, *smr.PEERS)
