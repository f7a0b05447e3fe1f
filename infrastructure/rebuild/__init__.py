"""The next generation of the read models, built from the log beside the one that is read.

Rule: it sends nothing to anybody. It has no Kafka and no reaction; an import contract holds that.
"""
