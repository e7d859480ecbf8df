# restart the service
param([string]$Name = 'Counter', [int]$Limit = 3)
function Restart-Worker {
    foreach ($i in 1..$Limit) {
        if ($i -gt 1) { Write-Host "Restarting $Name $i" }
    }
}
Get-Service -Name $Name | Restart-Worker
