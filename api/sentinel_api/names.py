"""The names by which the parts find each other in a cluster; written once, so that nobody mistypes one."""

GROUP = "sentinel.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

ROLE_LABEL = f"{GROUP}/role"
ROLE_EDGE = "edge"
ROLE_BUFFER = "buffer"
CLUSTER_LABEL = f"{GROUP}/cluster"
ZONE_LABEL = "topology.kubernetes.io/zone"

FINALIZER = f"{GROUP}/detach"
LOAD_BALANCER_CLASS = f"{GROUP}/buffer"

AGENT_SERVICE_ACCOUNT = "sentinel-agent"
NODE_NAME_CLAIM = "authentication.kubernetes.io/node-name"
MESH_SIGNER = f"{GROUP}/mesh"
"""Who signs the certificates of the mesh's members: what CertificateSigningRequests name."""
MESH_OPERATOR = "sentinel-operator"
"""What the operator is called in the mesh, where it listens only."""
