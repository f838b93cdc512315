"""OpenCHAMI, the hardware manager (SMD, PCS, BSS), CSM, and BMCs by Redfish."""
