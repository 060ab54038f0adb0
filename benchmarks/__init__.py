"""What it costs: writing, big histories, and how long reading them takes. Nothing here is installed with the package.

``writing``
    what auditing adds to statements that write, here and elsewhere: ``make bench``.
``contenders``
    what is compared, a module for each.
``guard``
    fails when it has become dearer: ``make bench-guard``.
``shop``
    ten tables of different shapes, and what their rows look like.
``big_history``
    builds years of history in them: ``python -m benchmarks.big_history --rows 1000000``.
``plans``
    what a plan may do to be called bounded, and whether one does.
``readings``
    the things that people read, each as a function to call.
``reading``
    measures them and checks their plans: ``make bench-reading``.
``page``
    puts the figures of reading into the documentation.
"""
