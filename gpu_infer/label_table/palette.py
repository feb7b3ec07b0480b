"""The colours of labels that have none of their own."""

from __future__ import annotations

Rgb = tuple[int, int, int]

_HEX = """
ff9f1c 56c4f5 14c88c faeb5a 5a8cff ff693c e187be aaffc8 bea0ff ffbeaa 10fa10 9210fa 5e6b10 fa10c6 fa106b 1d786b
109f10 9f5144 b9fa1d 8544c6 516b9f b9b978 10e0e0 10fa85 b91d78 ac5e10 1051fa 10782a 92b910 ed10fa fa1037 85519f
fab96b fa8592 e0c6fa acfa85 78ac85 e05efa fa1092 ac9210 c63737 9f5e78 6be037 1d859f fa92fa 9f1dd3 ac8544 fac610
c6375e 78b95e 78acfa 105ee0 b937ac fa925e 44acac e0ed10 faed92 9f85b9 2ac65e fa5ec6 fa3710 517844 92edfa d3856b
515eb9 d3fa5e fa5e9f 1dfaac 518510 d3edb9 fa7810 b978ed 855e37 faacc6 85fa10 10926b b9d35e c61d10 8544fa c68510
ac5192 10fa5e 44fad3 fae0ac fa5e6b 4492c6 859210 c610c6 8578fa 6bd3ac edaced ac441d 6bed6b edc651 6b6b37 1078c6
ac5efa 10c6e0 c65e78 78c644 e0782a 85925e 8585d3 fa6bed fae010 e01044 78ed92 d38592 855e10 acc6fa e0109f c6b910
5e51e0 ace092 10c637 e06b51 925e92 d3106b 857810 fa37ed d3fa92 109f51 78d3c6 b978c6 2ae01d e0ac78 1d6b92 fa5e85
1d8510 acfae0 9f51b9 acfa51 c6ac51 859fd3 c65151 449251 b92afa e06bb9 78c610 edac2a 51acc6 ac5e37 6bc685 1092fa
ac376b 9f2ab9 c6d32a 6bfa5e e09244 92b978 10acfa d39fc6 6b51b9 ed4444 b9e010 b97837 6b9244 6bfab9 e06b9f 8578e0
d337ed faed78 c65110 ac855e 10b99f 5e9f10 6b5e9f e078fa d3ac10 fa5e10 ac6b6b 9fd3ac 44b910 b9aced c6449f b9b944
ed442a fa9f92 78faed 2a7851 106bd3 d36bd3 d3e092 2ae085 fa8578 92e010 449278 5e85c6 fa92e0 fad385 b944e0 d31051
78d36b 10faed 6b92ed c6789f 9f9244 c651d3 fa6b51 44ac44 44e0c6 6bb9fa fa92b9 9f7810 e037c6 e0ed5e 449237 85fad3
d3442a c692d3 b99f6b fa3785 8544e0 92ed5e 1dac78 78d3ed e09ffa d39f44 ac4451 b91092 ace051 44782a 5144fa 5eedfa
e08510 c66b6b ed449f acfa9f 788537 925ed3 109f92 fad344 faac85 d34485 10e05e c6fab9 6b851d 5e6be0 d3102a e0925e
ac5178 b910ac 5eb99f 85ac37 1078fa ed101d d37844 fa789f d3acfa 37c6c6 9fb95e 5e6bfa 5efa2a e06b37 9f515e fa78e0
"""

PALETTE: tuple[Rgb, ...] = tuple((int(c[:2], 16), int(c[2:4], 16), int(c[4:], 16)) for c in _HEX.split())
"""256 colours that are light and saturated enough to be seen on grey.

The first ten follow Okabe and Ito, for readers who confuse red and green. Each further one is the colour of a grid
that is farthest from all before it in CIELAB, and at least 45 units from the six before it, so that the labels of
neighbouring numbers can be told apart.
"""


def palette_colour(label: int) -> Rgb:
    """The colour of `label`; 0, the background, is black. The 257th label has the first colour again."""
    return (0, 0, 0) if label == 0 else PALETTE[(label - 1) % len(PALETTE)]
