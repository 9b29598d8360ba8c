"""The four guidelines of the ShuffleNet V2 paper, measured on this machine.

:mod:`.networks` builds the networks of tables 1 to 4, :mod:`.tables` contains the paper's widths, speeds and order,
:mod:`.runtimes` runs a network, :mod:`.verdict` decides whether the measured order is the claimed one, :mod:`.measure`
combines these, :mod:`.breakdown` measures the run time of ShuffleNet V2 by kind of operation, and :mod:`.report` and
:mod:`.figure` show the results.
"""
