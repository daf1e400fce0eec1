"""How often the cause that `explain` names is the one that was planted.

``python -m benchmarks.explain_accuracy`` lays out calculators (``calculators``), plants changes in
them of which it knows what they do (``guilty``, ``innocents``, ``planting``), has them attributed,
and judges what is named (``judging``). ``others`` does the same with ways that others go.
"""
