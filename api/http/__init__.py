"""What both HTTP apps share: problems, strict JSON, tokens, headers, health and metrics.

Rule: whatever a caller sends, the answer is deliberate: never a 500, never their input echoed.
"""
