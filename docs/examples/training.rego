# A vCluster for training runs: nodes change only outside working hours, and nobody restarts what jobs need.
package pact.authz

import rego.v1

jobs_need := {"slurmd.service", "lattice-agent.service", "munge.service"}

is_change if input.command["class"] == "change"

deny contains "nodes of ml-training change between 18:00 and 06:00 UTC only" if {
	input.scope.vcluster == "ml-training"
	is_change
	not is_admin
	hour := time.clock(input.time_ns)[0]
	hour >= 6
	hour < 18
}

deny contains sprintf("%s runs jobs: drain the node first", [unit]) if {
	some stage in input.command.stages
	stage.name == "systemctl"
	stage["class"] == "change"
	some unit in stage.argv
	unit in jobs_need
}

is_admin if input.identity.role == "pact-platform-admin"
