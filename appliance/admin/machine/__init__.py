"""The machine's own settings: time zone, host name, network, SSH keys, firewall.

Only the appliance's are kept by the node; elsewhere they are shown.
"""
