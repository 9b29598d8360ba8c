"""The four guidelines of the ShuffleNet V2 paper, measured on the machine at hand.

:mod:`.networks` builds what tables 1 to 4 time, :mod:`.tables` says which widths, speeds and order the paper gives,
:mod:`.runtimes` runs a network, :mod:`.verdict` tells whether an order was seen, :mod:`.measure` puts these together,
:mod:`.breakdown` says what ShuffleNet V2 itself spends its time on, :mod:`.report` and :mod:`.figure` show it all.
"""
