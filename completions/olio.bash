# SPDX-License-Identifier: MIT
# bash completion for olio(1)

_olio_machines()
{
	local dir=${XDG_RUNTIME_DIR:-/dev/shm/olio-$(id -u)}

	[ -n "$XDG_RUNTIME_DIR" ] && dir=$dir/olio
	compgen -W "$(command ls "$dir" 2>/dev/null)" -- "$1"
	compgen -d -- "$1"
}

_olio()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local command=${COMP_WORDS[1]} i

	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W 'run pair ls explain version help --help --version' -- "$cur")
		return
	fi
	case $prev in
	-m | --machine)
		mapfile -t COMPREPLY < <(_olio_machines "$cur")
		return
		;;
	--device)
		mapfile -t COMPREPLY < <(compgen -W 'rxe0' -- "$cur")
		return
		;;
	--report)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	esac
	case $command in
	run | pair)
		# Behind the options a command line of its own begins.
		for ((i = 2; i < COMP_CWORD; i++)); do
			case ${COMP_WORDS[i]} in
			-m | --machine | --device | --report)
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
			mapfile -t COMPREPLY < <(compgen -W '-m --machine --device --report --help --' -- "$cur")
		fi
		;;
	ls)
		mapfile -t COMPREPLY < <(compgen -W 'machine processes devices qps cqs mrs -m --machine --json --help' -- "$cur")
		;;
	explain)
		mapfile -t COMPREPLY < <(compgen -W '-m --machine --json --help' -- "$cur")
		;;
	help)
		mapfile -t COMPREPLY < <(compgen -W 'run pair ls explain version' -- "$cur")
		;;
	esac
}

complete -F _olio olio
