"""Every reason that a condition, an Event or a failure of the operator's own can carry, beside the
words of `api.release.Stage`: what a release is doing is the name of its stage.

Reasons are part of the interface: alerts and scripts match them. A program's own reason (see
`lockstep_core.protocol.result.Result`) may stand in `lastFailure.reason` besides these.
"""

from __future__ import annotations

from enum import StrEnum

from lockstep_operator.api.release import Stage


class Reason(StrEnum):
    """One CamelCase word each; the comment says what it means to the person on call."""

    # What a release waits for.
    QUEUED = "Queued"  # a queue holds its Job: it is suspended, or its pod is gated
    RETRYING = "Retrying"  # an attempt failed; the next one has its time
    PAUSED = "Paused"  # a person holds it
    GATE_INCONCLUSIVE = "GateInconclusive"  # the data do not decide; a person does
    STEP_PAUSE = "StepPause"  # a pause step: its time has not passed, or a person has not said so
    HELD_AT_STEP = "HeldAtStep"  # `spec.rollout.holdAtStep`
    APPROVAL_REQUIRED = "ApprovalRequired"  # `promotion: Manual`
    STEPS_REFUSED = "StepsRefused"  # the steps cannot be taken as they are; the message says why
    RESUMED = "Resumed"

    # How a release ended, or how it serves.
    STEP_DONE = "StepDone"  # Event only
    STEPS_ACCEPTED = "StepsAccepted"
    PROMOTED = "Promoted"
    WATCHED = "Watched"  # judged on all requests after its promotion (`afterPromotion`)
    ROLLED_BACK = "RolledBack"
    ABORTED = "Aborted"
    REVERTED = "Reverted"
    RELEASE_FAILED = "ReleaseFailed"

    # Why a release failed.
    ATTEMPT_FAILED = "AttemptFailed"  # Event only: one attempt of several
    DISRUPTED = "Disrupted"  # the pod was preempted, drained or lost; not counted
    DEADLINE_EXCEEDED = "DeadlineExceeded"  # the Job ran longer than activeDeadlineSeconds
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"  # pods were not ready in time
    OUT_OF_MEMORY = "OutOfMemory"  # the kernel ended the container
    KILLED = "Killed"  # a signal from outside ended the program
    PROGRAM_FAILED = "ProgramFailed"  # an exit code that no program of ours gives
    # The kubelet's own words for a container that does not start.
    IMAGE_PULL_BACK_OFF = "ImagePullBackOff"  # also while it still says ErrImagePull
    INVALID_IMAGE_NAME = "InvalidImageName"
    ERR_IMAGE_NEVER_PULL = "ErrImageNeverPull"
    CREATE_CONTAINER_CONFIG_ERROR = "CreateContainerConfigError"  # a Secret, a ConfigMap
    CREATE_CONTAINER_ERROR = "CreateContainerError"
    RUN_CONTAINER_ERROR = "RunContainerError"
    UNSCHEDULABLE = "Unschedulable"  # no node takes the pod
    FAILED_CREATE = "FailedCreate"  # admission or a quota refuses the pod
    NO_POD = "NoPod"  # its Job has no pod, and nothing says why
    # The kubelet's and the volume controller's words for a pod that has its node.
    FAILED_MOUNT = "FailedMount"
    FAILED_ATTACH_VOLUME = "FailedAttachVolume"
    FAILED_CREATE_POD_SANDBOX = "FailedCreatePodSandBox"  # network or runtime of the node
    INVALID_RESULT = "InvalidResult"  # the termination message is not a result
    RESULT_MISMATCH = "ResultMismatch"  # the result is about something else
    GATE_FAILED = "GateFailed"
    INDEX_RECALL_LOW = "IndexRecallLow"
    ROWS_MISSING = "RowsMissing"
    SPACE_MISMATCH = "SpaceMismatch"
    NAME_CONFLICT = "NameConflict"  # an object of that name belongs to someone else
    WRITE_REFUSED = "WriteRefused"  # the API server refused a write (quota, admission)

    ARTIFACT_REFUSED = "ArtifactRefused"  # a program's own: a file is missing or corrupt

    # What is stored.
    ARTIFACTS_WHOLE = "ArtifactsWhole"  # every byte was read
    ARTIFACTS_DAMAGED = "ArtifactsDamaged"  # the next pod that starts refuses them
    ARTIFACTS_UNCHECKED = "ArtifactsUnchecked"  # the last check gave no verdict

    # The desired state.
    NO_INDEX = "NoIndex"  # `indexing: Required` and no VectorIndex
    NO_RELEASE = "NoRelease"
    INVALID_SPEC = "InvalidSpec"
    INVALID_INDEX = "InvalidIndex"  # a VectorIndex of the model is not one that can be built
    INVALID_RELEASE = "InvalidRelease"  # an EmbeddingRelease that this version cannot read
    MODEL_NOT_FOUND = "ModelNotFound"
    INDEXING_DISABLED = "IndexingDisabled"
    CHANGE_WAITS = "ChangeWaits"  # a change is seen and starts when its turn comes
    TERMINATING = "Terminating"

    # What serves.
    HEALTHY = "Healthy"
    PODS_NOT_READY = "PodsNotReady"
    ROLLING_IN_PLACE = "RollingInPlace"
    ENTRY_MISSING = "EntryMissing"
    STRAY_PODS = "StrayPods"  # pods that no release runs answer users too
    RELEASE_NOT_OWNED = "ReleaseNotOwned"  # an EmbeddingRelease lost its model's ownerReference
    GATES_PASSED = "GatesPassed"
    TRAINING_FINDING = "TrainingFinding"
    GATES_WAIVED = "GatesWaived"  # `promote` let the release pass
    GATES_NOT_JUDGED = "GatesNotJudged"
    UP_TO_DATE = "UpToDate"
    INDEX_CHANGED = "IndexChanged"
    INDEX_DELETED = "IndexDeleted"

    # Drift.
    UNMONITORED = "Unmonitored"  # nothing is watched; the message says what is missing
    NO_DATA = "NoData"  # too little traffic, or no monitor answers
    LEARNING = "Learning"  # the baseline is being learned
    QUIET = "Quiet"
    DRIFTING = "Drifting"
    RECALL_LOW = "RecallLow"  # the live recall of an index is below its bound
    RECALL_HOLDS = "RecallHolds"
    BASELINE_NOT_BLOCK_CALIBRATED = "BaselineNotBlockCalibrated"  # `tolerance: Auto` has no ground
    WAITING_FOR_APPROVAL = "WaitingForApproval"
    ACTION_APPROVED = "ActionApproved"  # Event only
    ACTION_ENDED = "ActionEnded"  # Event only

    # Verbs.
    VERB_REFUSED = "VerbRefused"
    ROLLBACK_REQUESTED = "RollbackRequested"
    RETRY_REQUESTED = "RetryRequested"
    PROMOTE_REQUESTED = "PromoteRequested"
    RELEASE_CREATED = "ReleaseCreated"


class Outcome(StrEnum):
    """How a release ended, as its record and the model's history have it."""

    PROMOTED = "Promoted"
    FAILED = "Failed"
    ABORTED = "Aborted"
    SUPERSEDED = "Superseded"
    # It served and a person asked for another release; or it was on its way, and the spec went
    # back to what another release already is (reason Reverted). It never returns by itself.
    ROLLED_BACK = "RolledBack"
    # It served, and the spec went back to an earlier release; it returns if the spec does.
    REVERTED = "Reverted"


Word = Reason | Stage
"""What a condition or an Event may carry."""


def word_of(text: str) -> Word:
    """The reason or the stage of that name. Raises ValueError for any other text."""
    return Stage(text) if text in set(Stage) else Reason(text)
