def policy_schema():
    return {}
