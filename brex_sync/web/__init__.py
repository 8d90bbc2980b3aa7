"""The guard in front of every page in a browser: who is logged in, and what foreign pages cannot
do.
"""
