# SPDX-License-Identifier: MIT
# bash completion for olio(1)

_olio_machines()
{
	local dir=${XDG_RUNTIME_DIR:-/dev/shm/olio-$(id -u)}

	[ -n "$XDG_RUNTIME_DIR" ] && dir=$dir/olio
	compgen -W "$(command ls "$dir" 2>/dev/null)" -- "$1"
	compgen -d -- "$1"
}

_olio_types()
{
	"${COMP_WORDS[0]}" topo --types 2>/dev/null | awk 'NR > 1 { print $1 }'
}

_olio()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local command=${COMP_WORDS[1]} i

	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W 'run pair ls explain topo map version help --help --version' -- "$cur")
		return
	fi
	case $prev in
	-m | --machine)
		mapfile -t COMPREPLY < <(_olio_machines "$cur")
		return
		;;
	--machine-type)
		mapfile -t COMPREPLY < <(compgen -W "$(_olio_types)" -- "$cur"; compgen -f -- "$cur")
		return
		;;
	--device)
		if [ "$command" = map ]; then
			mapfile -t COMPREPLY < <(compgen -W 'hca0 dma0 acc0' -- "$cur")
		else
			mapfile -t COMPREPLY < <(compgen -W 'rxe0 hca0 all' -- "$cur")
		fi
		return
		;;
	--dir)
		mapfile -t COMPREPLY < <(compgen -W 'to from both' -- "$cur")
		return
		;;
	--granule)
		mapfile -t COMPREPLY < <(compgen -W 'expose bounce refuse' -- "$cur")
		return
		;;
	--attr)
		mapfile -t COMPREPLY < <(compgen -W 'require-coherent mmio cc-shared skip-cpu-sync privileged' -- "$cur")
		return
		;;
	--report | --svg)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	esac
	case $command in
	run | pair)
		# Behind the options a command line of its own begins.
		for ((i = 2; i < COMP_CWORD; i++)); do
			case ${COMP_WORDS[i]} in
			-m | --machine | --machine-type | --device | --report)
				i=$((i + 1))
				;;
			--)
				i=$((i + 1))
				break
				;;
			-*) ;;
			*)
				break
				;;
			esac
		done
		if [ "$i" -lt "$COMP_CWORD" ] && declare -F _command_offset >/dev/null; then
			_command_offset "$i"
		elif [ "$i" -eq "$COMP_CWORD" ] && [ "${COMP_WORDS[i - 1]}" = -- ]; then
			mapfile -t COMPREPLY < <(compgen -c -- "$cur")
		else
			mapfile -t COMPREPLY < <(compgen -W '-m --machine --machine-type --device --report --help --' -- "$cur")
		fi
		;;
	ls)
		mapfile -t COMPREPLY < <(compgen -W 'machine processes devices qps cqs mrs maps faults misuse -m --machine -v --verbose --json --help' -- "$cur")
		;;
	explain)
		mapfile -t COMPREPLY < <(compgen -W '-m --machine --json --help' -- "$cur")
		;;
	topo)
		mapfile -t COMPREPLY < <(compgen -W '-m --machine --machine-type --host --types --json --yaml --help' -- "$cur")
		;;
	map)
		mapfile -t COMPREPLY < <(compgen -W 'anon: huge: memfd: file: bar: shared: private: --device --machine-type --dir --attr --granule --mask --svg --json --help' -- "$cur")
		;;
	help)
		mapfile -t COMPREPLY < <(compgen -W 'run pair ls explain topo map version' -- "$cur")
		;;
	esac
}

complete -F _olio olio
